"""What a plan does to stamped contracts: features that come and go, and what would break.

The database itself says whether a contract would break. The replacement is built beside the old
relation, empty, and the set is bound to it. Then the readers' check is run, and all of it is rolled
back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from feature_store.connection import Connection, one_value
from feature_store.declarations.feature_sets import FeatureSet, read_feature_sets
from feature_store.declarations.store_profile import read_profile
from feature_store.errors import StoreError, passes_on_its_own
from feature_store.relation_name import Name
from feature_store.schema.applied_definitions import words_of_files
from feature_store.schema.replacement.build_beside import build, place_beside
from feature_store.schema.replacement.dependents import Replacement
from feature_store.text_format import in_words, plural

_SETS, _BINDING, _ROWS = "feature_set", "feature_set_binding", "feature_contract"


@dataclass(frozen=True)
class ContractEffect:
    """What happens to one stamped feature set.

    Attributes:
        name: the set.
        file: how its file differs from its stamp, in words; empty if it does not.
        breaks: what the check of its contract would newly find wrong.
        has_file: whether it still has a contract file.
        stamped: whether it is stamped again with this plan.
    """

    name: str
    file: str
    breaks: tuple[str, ...]
    has_file: bool
    stamped: bool

    @property
    def refused(self) -> bool:
        """Whether readers of the set would be refused without anybody asking for that."""
        return bool(self.breaks) and self.has_file and not self.stamped

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.file}" if self.file else self.name]
        if self.breaks:
            lines.append(f"its stamp will no longer hold: {'; '.join(self.breaks)}")
        if self.stamped:
            lines.append("stamped again with this")
        elif not self.has_file:
            lines.append("it no longer has a file: whoever asserts it will be refused")
        elif self.breaks:
            lines.append(
                f"Next: make its contract file fit, and add `--stamp-contract {self.name}`; or "
                "restore the relation's file"
            )
        else:
            lines.append(
                "it must be stamped, else no run is certified: "
                f"`bin/feature-store stamp-contract {self.name} --replace`"
            )
        return "\n".join(lines)


def contract_effects(
    connection: Connection,
    include_dir: Path,
    replacement: Replacement | None,
    stamps: Collection[str],
) -> tuple[ContractEffect, ...]:
    """Find out what happens to every stamped set. Leaves nothing behind.

    Args:
        connection: a pinned session.
        include_dir: where the contract files are.
        replacement: what is to be replaced, if anything.
        stamps: the sets that are stamped in the same transaction.
    """
    registry = read_profile(include_dir).registry
    if not _may_look(connection, registry):
        return ()
    files = {one.name: one for one in read_feature_sets(include_dir)}
    try:
        with connection.transaction():
            breaks = _breaks(connection, replacement, registry) if replacement else {}
            stamped = _stamped(connection, registry)
    except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction):
        return ()  # tables or functions of another version, which the plan names
    found = []
    for name, rows in stamped.items():
        file = files.get(name)
        differs = _difference(file, rows) if file else ""
        if differs or breaks.get(name):
            effect = ContractEffect(
                name, differs, tuple(breaks.get(name, ())), file is not None, name in stamps
            )
            found.append(effect)
    return tuple(found)


def _may_look(connection: Connection, registry: str) -> bool:
    may: bool = one_value(
        connection,
        "SELECT bool_and(coalesce(has_table_privilege(to_regclass(t), 'SELECT'), FALSE)) "
        "FROM unnest(%s::text[]) AS t",
        ([Name(registry, table).quoted for table in (_SETS, _BINDING, _ROWS)],),
    )
    return may


def _stamped(connection: Connection, registry: str) -> dict[str, dict[str, tuple[Any, ...]]]:
    """The rows of each stamped set, by the features' names."""
    sets: dict[str, dict[str, tuple[Any, ...]]] = {}
    for name, feature, *row in connection.execute(
        sql.SQL(
            "SELECT s.name, c.feature_name, c.ordinal, c.dtype, c.expr_sql, c.leakage_rule, "
            "c.is_nullable FROM {}.feature_set AS s INNER JOIN {} AS c ON s.set_id = c.set_id "
            "WHERE s.features_hash IS NOT NULL ORDER BY s.name, c.ordinal"
        ).format(sql.Identifier(registry), sql.Identifier(registry, _ROWS))
    ).fetchall():
        sets.setdefault(name, {})[feature] = tuple(row)
    return sets


def _difference(file: FeatureSet, stamped: dict[str, tuple[Any, ...]]) -> str:
    now = {
        f.name: (f.ordinal, f.dtype, f.expr_sql, f.leakage_rule, f.is_nullable)
        for f in file.features
    }
    ways = (
        ("comes", "come", [name for name in now if name not in stamped]),
        ("goes", "go", [name for name in stamped if name not in now]),
        ("changes", "change", [n for n in now if n in stamped and now[n] != stamped[n]]),
    )
    told = [f"{in_words(names)} {one if len(names) == 1 else more}" for one, more, names in ways
            if names]  # fmt: skip
    if not told:
        return ""
    return f"{'; '.join(told)} (stamped: {plural(len(stamped), 'feature')}, its file: {len(now)})"


def _breaks(
    connection: Connection, replacement: Replacement, registry: str
) -> dict[str, list[str]]:
    """By set, what its check would find wrong with the replacement of its relation."""
    names = [one.name for one in replacement.rebuilt]
    before = dict(_checks(connection, names, registry))
    try:
        with connection.transaction(force_rollback=True):
            build(connection, replacement, words_of_files(connection))
            _bind_to_what_is_beside(connection, names, registry)
            beside = [place_beside(name) for name in names]
            after = dict(_checks(connection, beside, registry))
    except (StoreError, psycopg.Error) as error:
        if passes_on_its_own(error) or isinstance(error, psycopg.errors.QueryCanceled):
            raise  # it says nothing about the replacement
        return {}  # apply reports the reason; whoever only plans may lack the privilege
    return {
        name: [words for words in problems if words not in before.get(name, ())]
        for name, problems in after.items()
    }


def _checks(
    connection: Connection, bound: list[Name], registry: str
) -> Iterator[tuple[str, list[str]]]:
    """Each set that is bound to one of these relations, with what is wrong about it."""
    rows = connection.execute(
        sql.SQL(
            "SELECT s.name, k.problems FROM {0}.feature_set AS s "
            "INNER JOIN {1} AS b ON s.set_id = b.set_id "
            "CROSS JOIN LATERAL {0}.check_feature_contract(s.name) AS k "
            "WHERE to_regclass(b.relation_name) = ANY(%s::regclass[])"
        ).format(sql.Identifier(registry), sql.Identifier(registry, _BINDING)),
        (_there(connection, bound),),
    ).fetchall()
    yield from rows


def _there(connection: Connection, names: list[Name]) -> list[str]:
    """Those of the relations that exist, as SQL names them."""
    rows = connection.execute(
        "SELECT n FROM unnest(%s::text[]) AS n WHERE to_regclass(n) IS NOT NULL",
        ([name.quoted for name in names],),
    ).fetchall()
    return [name for (name,) in rows]


def _bind_to_what_is_beside(connection: Connection, names: list[Name], registry: str) -> None:
    for name in names:
        connection.execute(
            sql.SQL(
                "UPDATE {} SET relation_name = format('%%I.%%I', %s::text, %s::text) "
                "WHERE relation_name = format('%%I.%%I', %s::text, %s::text)"
            ).format(sql.Identifier(registry, _BINDING)),
            (place_beside(name).schema, name.relation, name.schema, name.relation),
        )
