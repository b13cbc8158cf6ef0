"""Which days of a layer still have exactly the rows that were fingerprinted before.

Fingerprinting a row takes some microseconds; checking that it is the same version of the same row
takes a tenth of that. So the states of the materialized views behind a layer, also through plain
views, are kept with its days. If all states are unchanged, so are the days. If rows were written
anew, the sum of a day's hashes tells whether they are the same; it takes a quarter of the time. A
layer's definitions are compared elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from feature_store.audit.last_refresh_state import read_last_states
from feature_store.audit.lease import Lease
from feature_store.audit.row_versions import find_relations, row_state
from feature_store.connection import Connection, one_value
from feature_store.declarations.history_series import HistorySeries
from feature_store.validation.history.fingerprints import Fingerprint

# Transaction numbers wrap around: after half their range a state no longer proves anything.
_COMPARABLE = 2**31


class SeenRows:
    """The rows of all layers, as the check's transaction sees them, and as seen before."""

    def __init__(self, connection: Connection, lease: Lease) -> None:
        self._connection = connection
        self._lease = lease
        self._states: dict[int, str | None] = {}
        self._last_states = read_last_states(connection)
        self._transaction: int = one_value(
            connection, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        )

    def are(self, layer: HistorySeries, days: Mapping[date, Fingerprint]) -> bool:
        """Whether the layer has the rows that were fingerprinted as these days."""
        seen = self._seen(layer)
        if seen.get("days") != _digest(days) or "states" not in seen:
            return False
        if not 0 <= self._transaction - seen["transaction"] < _COMPARABLE:
            return False
        return bool(seen["states"] == self._under(layer))

    def same_days(
        self, layer: HistorySeries, days: Mapping[date, Fingerprint], sums: Mapping[date, str]
    ) -> set[date]:
        """Which of these days have the rows that were fingerprinted, by their sums."""
        seen = self._seen(layer)
        if seen.get("days") != _digest(days):
            return set()
        then = seen.get("sums", {})
        return {day for day in days if day in sums and sums[day] == then.get(str(day))}

    def known(self, layer: HistorySeries) -> dict[str, str] | None:
        """The entities that were behind the layer's days, as digests by day, if recorded."""
        return self._seen(layer).get("known")

    def remember(
        self,
        layer: HistorySeries,
        days: Mapping[date, Fingerprint],
        sums: Mapping[date, str],
        known: Mapping[str, str] | None,
    ) -> None:
        """Store the states and sums of the rows that have just been fingerprinted as these days.

        Args:
            layer: the layer.
            days: its days.
            sums: of these days, see `fingerprints.LayerRows.sums`.
            known: the entities behind them, as digests by day, if recorded.
        """
        told = {str(day): told for day, told in sums.items()}
        seen: dict[str, Any] = {"days": _digest(days), "sums": told}
        if known is not None:
            seen["known"] = known
        states = self._under(layer)
        if None not in states.values():
            seen |= {"states": states, "transaction": self._transaction}
        self._connection.execute(
            "SELECT feature_store_audit.keep_seen(%s, %s, %s::jsonb)",
            (
                self._lease.token,
                layer.name,
                json.dumps(seen),
            ),
        )

    def _seen(self, layer: HistorySeries) -> dict[str, Any]:
        row = self._connection.execute(
            "SELECT seen FROM feature_store_audit.history_layer WHERE layer = %s", (layer.name,)
        ).fetchone()
        return (row and row[0]) or {}

    def _under(self, layer: HistorySeries) -> dict[str, str | None]:
        """The states of everything that the layer's rows come from; None if one cannot be read."""
        shown = [name.quoted for name in layer.shows]
        oids = [oid for (oid,) in self._connection.execute(_SOURCES, (shown,)).fetchall()]
        return {str(oid): self._state(oid) for oid in oids}

    def _state(self, oid: int) -> str | None:
        if oid not in self._states:
            found = find_relations(self._connection, [oid])
            told = found and not found[0].doubt and found[0].kind == "m"
            self._states[oid] = (
                row_state(self._connection, found[0], self._last_states) if told else None
            )
        return self._states[oid]


# Through plain views as they are now: an adopted view may read whatever its owner likes.
_SOURCES = """
WITH RECURSIVE below (oid) AS (
    SELECT to_regclass(s)::oid FROM unnest(%s::text[]) AS s
    UNION
    SELECT d.refobjid
    FROM below AS b
    INNER JOIN pg_catalog.pg_class AS c ON b.oid = c.oid AND c.relkind = 'v'
    INNER JOIN pg_catalog.pg_rewrite AS r ON c.oid = r.ev_class
    INNER JOIN pg_catalog.pg_depend AS d
        ON r.oid = d.objid
        AND d.classid = 'pg_catalog.pg_rewrite'::regclass
        AND d.refclassid = 'pg_catalog.pg_class'::regclass
)
SELECT b.oid
FROM below AS b
LEFT JOIN pg_catalog.pg_class AS c ON b.oid = c.oid
WHERE c.relkind IS DISTINCT FROM 'v'
"""


def _digest(days: Mapping[date, Fingerprint]) -> str:
    told = [(str(day), seen.rows, seen.digest.hex()) for day, seen in sorted(days.items())]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
