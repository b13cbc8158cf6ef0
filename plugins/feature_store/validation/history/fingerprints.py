"""Fingerprints of a layer's days, and the rows behind them.

A row's digest is the first half of SHA-256 over the binary form of its values. It is exact and the
same for every client and setting. NULL differs from all values, and equal values (0 and -0, 1.0
and 1.00) count as equal. A day's fingerprint is SHA-256 over its rows' sorted digests: the order
of rows does not matter, their number does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from psycopg import sql

from feature_store.audit.lease import Lease
from feature_store.connection import Connection
from feature_store.declarations.history_series import HistorySeries, Role
from feature_store.errors import BadInput
from feature_store.relation_name import beside_values
from feature_store.validation.history.recounts import essences
from feature_store.validation.history.row_changes import Difference, differences, drop_changes
from feature_store.validation.history.shown_values import said

# Raise it when digests are computed differently: then every baseline is set again.
DIGEST_VERSION = 2

# How values of a type enter a digest, by the type's OID. Other types enter as text.
_EXACT = {
    **dict.fromkeys((16, 17, 1082, 1114, 1184, 2950), "{}"),  # boolean, bytea, dates, times, uuid
    **dict.fromkeys((20, 21, 23), "{}::int8"),
    **dict.fromkeys(
        (700, 701),
        # Adding zero turns -0 into 0; NaN has many binary forms.
        "CASE WHEN {0} = 'NaN' THEN 'NaN'::float8 ELSE {0}::float8 + 0.0::float8 END",
    ),
    1700: "trim_scale({})",
}
_AS_TEXT = "convert_to({}::text, 'UTF8')"

_DAYS = """
    SELECT r.day, count(*), sha256(string_agg(r.digest, ''::bytea ORDER BY r.digest))
    FROM {rows} AS r
    GROUP BY r.day
"""


# One day at a time, so that no statement gets all rows at once.
_KEEP_SAID = """
    SELECT feature_store_audit.keep_said(
        %(token)s, %(layer)s, array_agg(n.day), array_agg(n.copy::integer), array_agg(n.row_key),
        array_agg(n.digest), array_agg(n.said)
    )
    FROM ({rows}) AS n
    GROUP BY n.day
"""
_SAID_KEPT = """
    SELECT feature_store_audit.keep_said(%(token)s, %(layer)s, '{}', '{}', '{}', '{}', '{}')
"""


@dataclass(frozen=True)
class Fingerprint:
    """What a day of a layer looks like.

    Attributes:
        rows: how many rows it has.
        digest: over all of them.
    """

    rows: int
    digest: bytes


class LayerRows:
    """The rows of one layer: now, in the baseline, and the changes between them."""

    def __init__(self, connection: Connection, layer: HistorySeries) -> None:
        """Read the query's columns.

        Raises:
            BadInput: the query does not give a day first, or lacks a column of the key.
        """
        self._connection = connection
        self._layer = layer
        self._query = sql.SQL(layer.query.replace("%", "%%"))
        described = connection.execute(
            sql.SQL("SELECT * FROM ({}) AS h LIMIT 0").format(self._query), {}
        ).description
        assert described is not None  # a SELECT
        columns = [(column.name, column.type_code) for column in described]
        counted = (*layer.counts.values(), *layer.weighs.values())
        named = (*layer.key, *(column for columns in counted for column in columns))
        missing = set(named) - {name for name, _ in columns}
        if columns[0] != ("day", 1082) or missing:
            raise BadInput(
                f"The history of {layer.name}: expected first the column day (a date), then the "
                "columns of the key and those that count or weigh "
                f"({', '.join(named) or 'none'}); the query gives "
                f"{', '.join(name for name, _ in columns)}."
            )
        self._columns = dict(columns[1:])
        # Rows without a key differ as a whole, so their columns are not compared.
        self._values = [c for c in self._columns if layer.key and c not in layer.key]

    def sums(self) -> dict[date, str]:
        """A quick hash of every day, as the layer is now: the sum of its rows' hashes.

        It tells, within one version of PostgreSQL, that a day has not changed. Rows without a day,
        of infinite days, and of years outside 1 to 9999 are left out.
        """
        found = self._connection.execute(
            sql.SQL(
                """
                SELECT h.day, sum(hash_record_extended(ROW({values}), 0))::text FROM ({query}) AS h
                WHERE h.day BETWEEN '0001-01-01' AND '9999-12-31'
                GROUP BY h.day
                """
            ).format(
                values=sql.SQL(", ").join(self._value(name) for name in self._columns),
                query=self._query,
            ),
            {},
        )
        return dict(found.fetchall())

    def fingerprints(self, days: Iterable[date]) -> dict[date, Fingerprint]:
        """The fingerprints of some days, as the layer is now; a day without rows has none."""
        looked_at = list(days)
        if not looked_at:
            return {}
        rows = sql.SQL(
            """
            (
                SELECT h.day, {digest} AS digest FROM ({query}) AS h
                WHERE h.day = ANY(%(days)s::date[])
            )
            """
        ).format(digest=self._digest(), query=self._query)
        query = sql.SQL(_DAYS).format(rows=rows)
        return _by_day(self._connection.execute(query, {"days": looked_at}).fetchall())

    def set_baseline(self) -> dict[date, Fingerprint]:
        """Make the layer's current rows the baseline's, which has none yet.

        Returns:
            What `fingerprints` gives of all days, without reading the rows twice.
        """
        found = self._connection.execute(
            sql.SQL(
                """
                WITH written AS (
                    INSERT INTO feature_store_audit.history_row
                        (layer, day, copy, row_key, digest, columns, said)
                    SELECT %(layer)s, r.* FROM ({rows}) AS r
                    RETURNING day, digest
                )
                {days}
                """
            ).format(
                rows=self._rows("h.day BETWEEN '0001-01-01' AND '9999-12-31'"),
                days=sql.SQL(_DAYS).format(rows=sql.SQL("written")),
            ),
            {"layer": self._layer.name},
        )
        return _by_day(found.fetchall())

    def find_changes(self, days: Iterable[date], lease: Lease) -> None:
        """Store which rows of these days came and went since the baseline."""
        looked_at = list(days)
        if not looked_at:
            return
        drop_changes(self._connection, lease, self._layer.name, looked_at)
        self._connection.execute(
            sql.SQL(
                """
                INSERT INTO feature_store_audit.history_change
                    (layer, day, came, copy, row_key, digest, columns, said)
                SELECT
                    %(layer)s, coalesce(n.day, b.day), b.day IS NULL, coalesce(n.copy, b.copy),
                    coalesce(n.row_key, b.row_key), coalesce(n.digest, b.digest),
                    coalesce(n.columns, b.columns),
                    CASE WHEN b.day IS NULL THEN n.said ELSE b.said END
                FROM ({rows}) AS n
                FULL JOIN (
                    SELECT r.day, r.copy, r.row_key, r.digest, r.columns, r.said
                    FROM feature_store_audit.history_row AS r
                    WHERE r.layer = %(layer)s AND r.day = ANY(%(days)s::date[])
                ) AS b
                    ON n.day = b.day AND n.copy = b.copy AND n.row_key = b.row_key
                    AND n.digest = b.digest
                WHERE n.day IS NULL OR b.day IS NULL
                """
            ).format(rows=self._rows("h.day = ANY(%(days)s::date[])")),
            {"layer": self._layer.name, "days": looked_at},
        )

    def keep_said(self, lease: Lease) -> None:
        """Store the values of the baseline's rows if an earlier version has not."""
        kept = self._connection.execute(
            "SELECT said_kept FROM feature_store_audit.history_layer WHERE layer = %s",
            (self._layer.name,),
        ).fetchone()
        if not kept or kept[0]:
            return
        if self._layer.role is Role.INPUT and self._values:
            rows = self._rows("h.day BETWEEN '0001-01-01' AND '9999-12-31'")
            values = {"layer": self._layer.name, "token": lease.token}
            self._connection.execute(sql.SQL(_KEEP_SAID).format(rows=rows), values)
        self.has_said(lease)

    def has_said(self, lease: Lease) -> None:
        """Note that the baseline's rows have their values."""
        values = {"layer": self._layer.name, "token": lease.token}
        self._connection.execute(_SAID_KEPT, values)

    def differences(self, days: Sequence[date]) -> dict[date, Difference]:
        """The changes found on these days, counted; every day has an answer."""
        names = self._layer.key or tuple(self._columns)
        found = differences(self._connection, self._layer.name, days, names, self._values)
        # If somebody edited a baseline by hand, only its fingerprint may differ.
        return {day: found.get(day, Difference(0, 0, 0, (), ())) for day in days}

    def essences(self, days: Iterable[date], spared: Collection[str]) -> dict[date, bytes]:
        """The changes found on days, without some columns; see `recounts.essences`."""
        kept = [place for place, name in enumerate(self._values, 1) if name not in spared]
        return essences(self._connection, self._layer, days, kept)

    def _rows(self, condition: str) -> sql.Composed:
        key = self._layer.key or tuple(self._columns)
        # Only if equal rows are legal, a number is needed to tell them apart.
        copy = "1" if self._layer.key else "row_number() OVER (PARTITION BY h.day, h.digest)"
        # There are many, and only rows known to differ are compared, so a quick hash is enough.
        pieces = [
            sql.SQL("int4send(hash_record(ROW({})))").format(self._value(name))
            for name in self._values
        ]
        return sql.SQL(
            """
            SELECT h.day, {copy} AS copy, h.row_key, h.digest, h.columns, h.said
            FROM (
                SELECT
                    h.day, jsonb_build_array({key})::text AS row_key, {digest} AS digest,
                    {columns} AS columns, {said} AS said
                FROM ({query}) AS h
                WHERE {condition}
            ) AS h
            """
        ).format(
            copy=sql.SQL(copy),
            key=sql.SQL(", ").join(beside_values("h", name) for name in key),
            digest=self._digest(),
            columns=sql.SQL(" || ").join(pieces) if pieces else sql.SQL("''::bytea"),
            said=self._said(),
            query=self._query,
            condition=sql.SQL(condition),
        )

    def _said(self) -> sql.Composable:
        """The values of a row, for people; only inputs are reviewed."""
        if self._layer.role is not Role.INPUT or not self._values:
            return sql.SQL("NULL::text")
        return said(self._values)

    def _digest(self) -> sql.Composed:
        values = [self._value(name) for name in self._columns]
        return sql.SQL("substr(sha256(record_send(ROW({}))), 1, 16)").format(
            sql.SQL(", ").join(values)
        )

    def _value(self, column: str) -> sql.Composed:
        exact = _EXACT.get(self._columns[column], _AS_TEXT)
        return sql.SQL(exact).format(beside_values("h", column))


def _by_day(rows: Iterable[tuple[date, int, bytes]]) -> dict[date, Fingerprint]:
    return {day: Fingerprint(count, digest) for day, count, digest in rows}
