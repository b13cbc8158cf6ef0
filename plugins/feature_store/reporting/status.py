"""The store as a table: every relation with its rows, size, last refresh and state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg import Connection

from feature_store.declarations.store_definition import Store
from feature_store.schema.object_states import State, examine, has_audit, store_objects
from feature_store.text_format import text_table


@dataclass(frozen=True)
class Line:
    """One relation.

    Attributes:
        relation: its name.
        refresh: ``base``, ``read`` or ``views``.
        rows: after its last refresh; None if it never had one.
        bytes: with indexes; None if it does not exist.
        refreshed_at: when its last refresh ended.
        seconds: that the last refresh took.
        state: how it stands to its file.
    """

    relation: str
    refresh: str
    rows: int | None
    bytes: int | None
    refreshed_at: datetime | None
    seconds: float | None
    state: State


def read_status(connection: Connection[Any], store: Store, include_dir: Path) -> list[Line]:
    """Read the status of every relation. Reads only."""
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
    lines = []
    for relation in store.relations:
        name = str(relation.name)
        rows, finished_at, seconds = latest.get(name, (None, None, None))
        size = connection.execute(
            "SELECT pg_total_relation_size(to_regclass(%s))",
            (relation.name.quoted,),
        ).fetchone()
        lines.append(
            Line(
                relation=name,
                refresh=relation.refresh.value,
                rows=rows,
                bytes=size[0] if size else None,
                refreshed_at=finished_at,
                seconds=seconds,
                state=states[name],
            )
        )
    return lines


def as_table(lines: Sequence[Line]) -> str:
    """The status as text, one line a relation."""
    header = ("relation", "layer", "rows", "MB", "last refresh", "seconds", "state")
    cells = [
        (
            line.relation,
            line.refresh,
            "" if line.rows is None else f"{line.rows:,}",
            "" if not line.bytes else f"{line.bytes / 1e6:,.1f}",
            "" if line.refreshed_at is None else f"{line.refreshed_at:%Y-%m-%d %H:%M:%S %Z}",
            "" if line.seconds is None else f"{line.seconds:,.2f}",
            line.state.value,
        )
        for line in lines
    ]
    return text_table([header, *cells], right=(2, 3, 5))
