"""The store as a table: every relation with its rows, size, last refresh and state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from feature_store.connection import Connection, one_value
from feature_store.declarations.store_definition import Store
from feature_store.relation_name import Name
from feature_store.reporting.store.models import RelationNow, RelationState
from feature_store.reporting.store.relation_states import (
    NOT_PROVEN,
    answered,
    read_relations,
    standing_on,
)
from feature_store.reporting.store.store_files import read_files
from feature_store.schema.audit_migrations import audit_is_current
from feature_store.schema.object_states import State, examine, has_audit
from feature_store.schema.planning.without_file import WithoutFile, without_file
from feature_store.schema.store_objects import store_objects
from feature_store.text_format import in_words, text_table
from feature_store.validation.certificates import Certificate, read_certificates
from feature_store.validation.certification import certified_in_words


@dataclass(frozen=True)
class Line:
    """One relation.

    Attributes:
        relation: its name.
        refresh: ``base``, ``read`` or ``views``; empty if it has no file any more.
        rows: after its last refresh; None if it was never refreshed.
        bytes: with indexes; None if it does not exist.
        refreshed_at: when its last refresh ended.
        seconds: how long the last refresh took.
        state: how it compares with its file.
        certified: ``yes``, or ``no`` and why; ``live view`` for a view that reads only sources and
            has no rows to certify; ``not known at the moment`` and why; empty if there is no
            record of runs.
    """

    relation: str
    refresh: str
    rows: int | None
    bytes: int | None
    refreshed_at: datetime | None
    seconds: float | None
    state: State
    certified: str = ""

    @property
    def is_well(self) -> bool:
        """It is as its file or adopted, and nothing about it is unproven."""
        return self.state in (State.AS_FILE, State.ADOPTED) and not self.certified.startswith("no:")

    def as_row(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "relation": self.relation,
            "refresh": self.refresh,
            "rows": self.rows,
            "bytes": self.bytes,
            "refreshed_at": self.refreshed_at,
            "seconds": self.seconds,
            "certified": self.certified,
            "state": self.state.value,
        }


def read_status(connection: Connection, store: Store, include_dir: Path) -> list[Line]:
    """Read the status of every relation, last those that have no file any more. Reads only."""
    states = {
        c.thing.label: c.state for c in examine(connection, store_objects(store, include_dir))
    }
    latest: dict[str, tuple[int, datetime, float]] = {}
    if has_audit(connection):
        for relation, rows, finished_at, seconds in connection.execute(
            "SELECT DISTINCT ON (relation) relation, row_count, finished_at, seconds "
            "FROM feature_store_audit.refresh ORDER BY relation, refresh_id DESC"
        ):
            latest[relation] = (rows, finished_at, seconds)
    certified = _certified(connection, include_dir)
    known = [(r.name, r.refresh.value, states[str(r.name)]) for r in store.relations]
    left = relations_without_file(connection, store)
    lines = []
    for relation, refresh, state in [*known, *((one.name, "", State.WITHOUT_FILE) for one in left)]:
        name = str(relation)
        rows, finished_at, seconds = latest.get(name, (None, None, None))
        size = one_value(
            connection,
            "SELECT pg_total_relation_size(to_regclass(%s))",
            (relation.quoted,),
        )
        lines.append(
            Line(
                relation=name,
                refresh=refresh,
                rows=rows,
                bytes=size,
                refreshed_at=finished_at,
                seconds=seconds,
                state=state,
                certified=certified.get(name, ""),
            )
        )
    return lines


def relations_without_file(connection: Connection, store: Store) -> tuple[WithoutFile, ...]:
    """What apply made, or adopted, and no file of the store defines any more. Reads only."""
    files, sources = (
        [str(one.name) for one in those] for those in (store.relations, store.sources)
    )
    return without_file(connection, files, sources)


def as_table(lines: Sequence[Line]) -> str:
    """The status as text, one line a relation."""
    header = ("relation", "refresh", "rows", "MB", "last refresh", "seconds", "certified", "state")
    cells = [
        (
            line.relation,
            line.refresh,
            "" if line.rows is None else f"{line.rows:,}",
            "" if not line.bytes else f"{line.bytes / 1e6:,.1f}",
            "" if line.refreshed_at is None else f"{line.refreshed_at:%Y-%m-%d %H:%M:%S %Z}",
            "" if line.seconds is None else f"{line.seconds:,.2f}",
            line.certified,
            line.state.value,
        )
        for line in lines
    ]
    return text_table([header, *cells], right=(2, 3, 5))


def certified_last(connection: Connection) -> str:
    """Which run certified the store last, and whether readers still have its rows."""
    if not has_audit(connection):
        return "nothing yet: the store has not been created."
    return certified_in_words(connection)


def _certified(connection: Connection, include_dir: Path) -> dict[str, str]:
    """Whether readers who ask are let through to a relation, as on the page in Airflow."""
    if not audit_is_current(connection):
        return {}
    files = read_files(include_dir)
    known = read_certificates(connection, [Name.parse(name).quoted for name in files.relations])
    relations = answered(standing_on(read_relations(connection, files, None)), known)
    return {r.name: _in_a_word(r, known[Name.parse(r.name).quoted]) for r in relations}


def _in_a_word(relation: RelationNow, certificate: Certificate) -> str:
    if relation.state is RelationState.REFUSED:
        return f"no: {certificate.refusal}"
    if relation.state in NOT_PROVEN:
        return f"no: {relation.state.value}"
    if relation.stands_on:
        return f"no: reads {in_words(relation.stands_on)}"
    if not certificate.is_known:
        return f"not known at the moment: {certificate.refusal}"
    return "yes" if certificate.has_layers else relation.state.value
