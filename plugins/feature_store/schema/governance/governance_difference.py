"""What a database has of a governance file, compared with the file, part by part.

A table that was there before us and has our columns is kept with its rows, a function is replaced
only by name.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from feature_store.connection import Connection
from feature_store.database.catalog import live_columns
from feature_store.schema.governance.governance import Governance, Part
from feature_store.schema.governance.governed_tables import table_changes, table_misfits
from feature_store.schema.governance.live_function import LiveFunction, live_function
from feature_store.schema.governance.registry import LiveView, live_view, registry_apart

# Only readers call these, so a function of the reader's own may stay.
_FOR_READERS = ("assert_feature_contract", "require_certified", "store_freshness")

_How = Literal["missing", "misfit", "outgrown", "kept"]


@dataclass(frozen=True)
class GovernanceDifference:
    """How what a database has of a governance file differs from the file.

    Attributes:
        create: parts that are missing.
        replace: functions, and tables instead of views, that differ and were named to be replaced.
        misfits: what must be fixed first, in words, with what to do.
        kept: what differs and may stay, in words.
        outgrown: the misfits that could be named and replaced.
    """

    create: tuple[Part, ...]
    replace: tuple[Part, ...]
    misfits: tuple[str, ...]
    kept: tuple[str, ...]
    outgrown: tuple[str, ...]


def compare(
    connection: Connection,
    governance: Governance,
    named: Collection[str],
    recorded: tuple[str, str] | None,
    *,
    may_stay: bool,
) -> GovernanceDifference:
    """Compare part by part.

    Args:
        connection: a pinned session.
        governance: what the file says.
        named: functions that may be replaced, and tables that were altered as the file says.
        recorded: the file's and the server's description when it was applied; None before that.
        may_stay: whether apply did not create what is there.
    """
    apart = (
        registry_apart(connection, governance.parts, governance.registry)
        if governance.shows
        else {}
    )
    # A registry that apply did not create stays as a whole, or its sets move as a whole.
    may_stay = may_stay and not any(str(name) in named for name in apart)
    found = []
    for part in governance.parts:
        if words := apart.get(part.name):
            differs: _How = "kept" if may_stay else "outgrown"
            found += [(part, differs, words)]
        elif part.is_table:
            found += [(part, *of) for of in _of_table(connection, part, named, recorded)]
        else:
            found += [(part, *of) for of in _of_code(connection, part, recorded)]

    replace = [p for p, how, _ in found if how in ("outgrown", "kept") and str(p.name) in named]
    rest = [(how, words, str(part.name)) for part, how, words in found if part not in replace]
    return GovernanceDifference(
        create=tuple(part for part, how, _ in found if how == "missing"),
        replace=tuple(replace),
        misfits=tuple(words for how, words, _ in rest if how in ("misfit", "outgrown")),
        kept=tuple(
            f"{words}\nTo get the file's version: `bin/feature-store apply --replace {name}`"
            for how, words, name in rest
            if how == "kept"
        ),
        outgrown=tuple(name for how, _, name in rest if how == "outgrown"),
    )


def _of_table(
    connection: Connection,
    part: Part,
    named: Collection[str],
    recorded: tuple[str, str] | None,
) -> list[tuple[_How, str]]:
    live = live_columns(connection, part.name)
    if not live:
        return [("missing", "")]
    changes = []
    if recorded and str(part.name) not in named:
        changes = table_changes(part, live, recorded)
    return [("misfit", words) for words in changes + table_misfits(connection, part, live)]


def _of_code(
    connection: Connection, part: Part, recorded: tuple[str, str] | None
) -> list[tuple[_How, str]]:
    """Of a function, or a view: what the server would execute."""
    now = (
        live_view(connection, part.name)
        if part.is_view
        else live_function(connection, part.name, part.arguments)
    )
    if now is None:
        return [("missing", "")]
    if not _differs(part, now, recorded):
        return []
    whose = "which is not as its file" if recorded else "which apply did not create"
    words = (
        f"{part.name}{f'({part.arguments})' if part.arguments else ''}, {whose}:\n"
        f"{now.difference(part.body)}"
    )
    readers_own = recorded is None and part.name.relation in _FOR_READERS
    return [("kept" if readers_own else "outgrown", words)]


def _differs(part: Part, now: LiveFunction | LiveView, recorded: tuple[str, str] | None) -> bool:
    if recorded is None:
        return not now.is_as(part.body)
    file_then, live_then = recorded
    return part.normal not in file_then or now.definition not in live_then
