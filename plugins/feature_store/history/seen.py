"""Whether a layer still consists of the very rows that were fingerprinted before.

To fingerprint a row takes some microseconds, to tell that it is the same version of the same row a
tenth of that. So the states of the materialized views under a layer are kept with what was seen;
where all are as they were, the days are, too. A layer's definitions are compared elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from psycopg import Connection

from feature_store.history.layers import HistoryLayer
from feature_store.history.rows import Fingerprint
from feature_store.names import Name
from feature_store.reuse.row_state import find_relations, row_state

# Transaction numbers come round: after half their range a state proves nothing any more.
_COMPARABLE = 2**31


class SeenRows:
    """The rows of all layers, as the judgement's transaction sees them, and as they were seen."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._states: dict[str, str | None] = {}
        row = connection.execute(
            "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        ).fetchone()
        assert row is not None  # a SELECT without FROM
        self._transaction: int = row[0]

    def are(self, layer: HistoryLayer, days: Mapping[date, Fingerprint]) -> bool:
        """Whether the layer has the rows that were fingerprinted as these days."""
        row = self._connection.execute(
            "SELECT seen FROM feature_store_audit.history_layer WHERE layer = %s", (layer.name,)
        ).fetchone()
        if not row or not row[0] or row[0]["days"] != _digest(days):
            return False
        if not 0 <= self._transaction - row[0]["transaction"] < _COMPARABLE:
            return False
        return bool(row[0]["states"] == self._under(layer))

    def remember(self, layer: HistoryLayer, days: Mapping[date, Fingerprint]) -> None:
        """Keep the states of the rows that have just been fingerprinted as these days."""
        states = self._under(layer)
        seen = {"states": states, "transaction": self._transaction, "days": _digest(days)}
        self._connection.execute(
            "UPDATE feature_store_audit.history_layer SET seen = %s WHERE layer = %s",
            (None if None in states.values() else json.dumps(seen), layer.name),
        )

    def _under(self, layer: HistoryLayer) -> dict[str, str | None]:
        return {name: self._state(name) for name, _ in layer.stands_on}

    def _state(self, name: str) -> str | None:
        if name not in self._states:
            self._states[name] = self._read(Name.parse(name))
        return self._states[name]

    def _read(self, name: Name) -> str | None:
        quoted = name.identifier.as_string(self._connection)
        row = self._connection.execute("SELECT to_regclass(%s)::oid", (quoted,)).fetchone()
        found = find_relations(self._connection, [row[0]]) if row and row[0] else []
        if not found or found[0].doubt or found[0].kind != "m":
            return None
        return row_state(self._connection, found[0])


def _digest(days: Mapping[date, Fingerprint]) -> str:
    told = [(str(day), seen.rows, seen.digest.hex()) for day, seen in sorted(days.items())]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
