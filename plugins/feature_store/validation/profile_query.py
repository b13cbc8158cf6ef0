"""The two queries of a profile: a sample of rows, and one pass over all rows by month.

The pass counts each feature's values in known bins. So it sorts no values, and its time grows only
with the number of rows. What needs a sort (distinct values, quantiles) comes from a sample, chosen
by a hash of the entity: the same entities every night.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

from psycopg import sql

from feature_store.connection import Connection, one_row, one_value
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.served import Served
from feature_store.validation.feature_types import NUMBERS, WITH_NAN
from feature_store.validation.profile_parts import Bins, Part

SAMPLE = 10_000
"""About how many rows are sampled; all rows if there are fewer."""
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""The quantiles that are kept."""
_CUTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_MOST_WHOLE = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
# Squares of larger values do not fit into a float.
_MOST_MEASURED = 1e150
# For texts: a level needs at least this many rows, so that no single entity is shown.
_FEWEST_OF_A_LEVEL = 10
_MOST_LEVELS, _LONGEST_LEVEL = 12, 60
# A query of PostgreSQL may give 1,664 columns; each feature needs eight.
_COLUMNS_AT_ONCE = 200


@dataclass(frozen=True)
class Column:
    """A feature as a column of its relation, which the queries call f."""

    name: str
    type_name: str

    @property
    def is_number(self) -> bool:
        """Whether it is numeric; otherwise it is treated as a text."""
        return self.type_name in NUMBERS

    @property
    def can_be_nan(self) -> bool:
        """Whether its type has NaN."""
        return self.type_name in WITH_NAN

    @property
    def plain(self) -> sql.Composable:
        """The column."""
        plain = sql.SQL("f.{}" if self.is_number else "f.{}::text")
        return plain.format(sql.Identifier(self.name))

    @property
    def filled(self) -> sql.Composable:
        """Whether it has a value; neither NULL nor NaN counts."""
        if self.can_be_nan:
            return sql.SQL("{} <> 'NaN'").format(self.plain)
        return sql.SQL("{} IS NOT NULL").format(self.plain)

    @property
    def number(self) -> sql.Composable:
        """Its value as a float, limited, because a numeric may be larger than any float."""
        limited = "least(greatest({}, -1e300), 1e300)" if self.type_name == "numeric" else "{}"
        return sql.SQL(f"{limited}::float8").format(self.plain)

    @property
    def measured(self) -> sql.Composable:
        """Whether its value can be measured."""
        if self.can_be_nan:
            # A real's square always fits, and its type holds no larger bound.
            most = math.inf if self.type_name == "real" else _MOST_MEASURED
            return sql.SQL("{x} > {least} AND {x} < {most}").format(
                x=self.plain, least=self.literal(-most), most=self.literal(most)
            )
        return self.filled

    def literal(self, value: float) -> sql.Composable:
        """A number of the column's own type, to avoid a cast in every row."""
        most = _MOST_WHOLE.get(self.type_name)
        if most:  # as a float, a large bigint may be rounded up beyond its type
            value = int(min(max(value, -most - 1), most))
        return sql.SQL("({})::{}").format(sql.Literal(value), sql.SQL(self.type_name))


@dataclass(frozen=True)
class Sampled:
    """What a sample shows of a feature: distinct values and, for numbers, quantiles and bins."""

    distinct: int
    quantiles: list[float] | None = None
    cuts: tuple[float, ...] = ()


def sample(
    connection: Connection, feature_set: FeatureSet, served: Served, columns: Sequence[Column]
) -> tuple[int, int, dict[str, Sampled]]:
    """Read a sample of a set's rows.

    Returns:
        One row in how many is in the sample, the sample's size, and what it shows by feature.
    """
    stored: int = one_value(
        connection, sql.SQL("SELECT count(*) FROM {}").format(served.t0.relation.identifier)
    )
    every = max(-(-stored // SAMPLE), 1)
    asked: list[sql.Composable] = []
    for column in columns:
        asked.append(
            sql.SQL("count(DISTINCT {}) FILTER (WHERE {})").format(column.plain, column.filled)
        )
        if column.is_number:
            asked.append(
                sql.SQL(
                    "percentile_disc({}::float8[]) WITHIN GROUP (ORDER BY {}) FILTER (WHERE {})"
                ).format(
                    sql.Literal([*QUANTILES, *_CUTS]),
                    column.number,
                    column.filled,
                )
            )
    rows, *values = one_row(
        connection,
        sql.SQL("SELECT count(*), {} FROM {} AS f {}").format(
            sql.SQL(", ").join(asked), feature_set.relation.identifier, _chosen(served, every)
        ),
    )
    told = iter(values)
    return every, rows, {c.name: _sampled(c, told) for c in columns}


def _sampled(column: Column, told: Any) -> Sampled:
    distinct = next(told)
    if not column.is_number:
        return Sampled(distinct)
    if (values := next(told)) is None:
        return Sampled(distinct)
    kept = len(QUANTILES)
    return Sampled(distinct, values[:kept], tuple(sorted(set(values[kept:]))))


def _chosen(served: Served, every: int) -> sql.Composable:
    if every == 1:
        return sql.SQL("")
    return sql.SQL("WHERE hashtextextended(f.{}::text, 0) % {} = 0").format(
        sql.Identifier(served.entity), sql.Literal(every)
    )


def levels_of(
    connection: Connection, feature_set: FeatureSet, served: Served, column: Column, every: int
) -> tuple[str, ...]:
    """The most frequent texts of the sample."""
    rows = connection.execute(
        sql.SQL(
            "SELECT {x} FROM {relation} AS f {chosen} GROUP BY 1 "
            "HAVING count(*) >= {fewest} AND length({x}) <= {longest} "
            'ORDER BY count(*) DESC, {x} COLLATE "C" LIMIT {most}'
        ).format(
            x=column.plain,
            relation=feature_set.relation.identifier,
            chosen=_chosen(served, every),
            fewest=sql.Literal(_FEWEST_OF_A_LEVEL),
            longest=sql.Literal(_LONGEST_LEVEL),
            most=sql.Literal(_MOST_LEVELS),
        )
    ).fetchall()
    return tuple(level for (level,) in rows)


def months(
    connection: Connection,
    feature_set: FeatureSet,
    served: Served,
    columns: Sequence[Column],
    bins: Mapping[str, Bins],
) -> dict[date | None, dict[str, Part]]:
    """Read all rows once for every 200 features: each feature by month of t0.

    Returns:
        By the first day of the month, in the session's zone; None: t0 is missing or not a day.
    """
    found: dict[date | None, dict[str, Part]] = {}
    for first in range(0, len(columns), _COLUMNS_AT_ONCE):
        some = columns[first : first + _COLUMNS_AT_ONCE]
        for month, parts in _months(connection, feature_set, served, some, bins).items():
            found.setdefault(month, {}).update(parts)
    return found


def _months(
    connection: Connection,
    feature_set: FeatureSet,
    served: Served,
    columns: Sequence[Column],
    bins: Mapping[str, Bins],
) -> dict[date | None, dict[str, Part]]:
    asked = [part for column in columns for part in _asked(column, bins[column.name])]
    joined: sql.Composable = sql.SQL("")
    t0 = sql.SQL("f.{}").format(sql.Identifier(served.t0.name))
    if served.t0.relation != feature_set.relation:
        entity = sql.Identifier(served.entity)
        t0 = sql.SQL("e.{}").format(sql.Identifier(served.t0.name))
        joined = sql.SQL("LEFT JOIN {} AS e ON f.{} = e.{}").format(
            served.t0.relation.identifier, entity, entity
        )
    found = connection.execute(
        sql.SQL(
            "SELECT CASE WHEN {t0} >= '0002-01-01' AND {t0} < '9999-01-01' "
            "THEN date_trunc('month', {t0})::date END AS month, count(*), {asked} "
            "FROM {relation} AS f {joined} GROUP BY 1"
        ).format(
            t0=t0,
            asked=sql.SQL(", ").join(asked),
            relation=feature_set.relation.identifier,
            joined=joined,
        )
    ).fetchall()
    return {
        month: {c.name: _part(c, bins[c.name], rows, told) for c in columns}
        for month, rows, *values in found
        for told in [iter(values)]
    }


def _asked(column: Column, bins: Bins) -> list[sql.Composable]:
    """The arguments of `_part`, in its order."""
    x, v, some = column.plain, column.number, column.can_be_nan
    counted = _over("count({})", x, column.filled if some else None)
    if not column.is_number:
        return [counted, _listed(column, bins)]
    filled, measured = (column.filled, column.measured) if some else (None, None)
    # Read from its bin, to save one condition per row.
    zero: sql.Composable = sql.SQL("NULL::bigint")
    if _bin_of_zero(column, bins) is None:
        zero = _over("count(*)", x, sql.SQL("{} = 0").format(x))
    whole = x if not some else v
    return [
        counted,
        zero,
        sql.SQL("{}::float8").format(_over("min({})", whole, filled)),
        sql.SQL("{}::float8").format(_over("max({})", whole, filled)),
        _over("count({})", x, measured),
        _over("avg({})", v, measured),
        _over("stddev_samp({})", v, measured),
        _listed(column, bins),
    ]


def _bin_of_zero(column: Column, bins: Bins) -> int | None:
    """The bin that holds only 0, for whole numbers, if there is one."""
    edges = bins.edges
    if column.can_be_nan or 0.0 not in edges:
        return None
    place = edges.index(0.0)
    return place + 1 if edges[place + 1 : place + 2] == (1.0,) else None


def _over(aggregate: str, of: sql.Composable, rows: sql.Composable | None) -> sql.Composable:
    """An aggregate over some rows, without NULL. Each condition costs time in every row."""
    asked = sql.SQL(aggregate).format(of)
    return asked if rows is None else sql.SQL("{} FILTER (WHERE {})").format(asked, rows)


def _listed(column: Column, bins: Bins) -> sql.Composable:
    """For numbers, how many are at or above each edge; for texts, how many have each level."""
    if bins.levels is not None:
        conditions = [sql.SQL("{} = {}").format(column.plain, sql.Literal(x)) for x in bins.levels]
    else:
        # NaN is above all numbers, but does not count as a value.
        form = "{} >= {} AND {}" if column.can_be_nan else "{} >= {}"
        conditions = [
            sql.SQL(form).format(column.plain, column.literal(edge), column.filled)
            for edge in bins.edges
        ]
    wanted = [_over("count(*)", column.plain, condition) for condition in conditions]
    return sql.SQL("ARRAY[{}]::bigint[]").format(sql.SQL(", ").join(wanted))


def _part(column: Column, bins: Bins, rows: int, told: Any) -> Part:
    filled = next(told)
    if not column.is_number:
        counts = next(told)
        return Part(rows, filled, None, None, None, 0, None, None, (*counts, filled - sum(counts)))
    zeros, least, most, measured, mean, deviation, above = (next(told) for _ in range(7))
    reached = [filled, *above, 0]
    counts = tuple(n - m for n, m in pairwise(reached))
    if (place := _bin_of_zero(column, bins)) is not None:
        zeros = counts[place]
    return Part(rows, filled, zeros, least, most, measured, mean, deviation, counts)
