"""Compares two sets of rows, column by column: the found rows and the expected ones.

Rows are joined by their key. NULL equals NULL, in the key and in every other column. If rows may be
equal, the comparison counts how often each row is there on either side.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql
from psycopg.sql import Composable, Composed, Identifier, Literal

from feature_store.connection import Connection, one_row

_SAMPLE = 20
_FLOATS = ("real", "double precision")
_EQUAL_ARE_THE_SAME = frozenset(
    {
        *("boolean", "smallint", "integer", "bigint", "oid", "numeric", "uuid", "bytea"),
        *("text", "character varying", "character", "bpchar"),
        *("date", "timestamp without time zone", "timestamp with time zone"),
    }
)
# Names that no column of a relation has.
_THERE = Identifier("is there")
_FOUND, _EXPECTED = Identifier("times found"), Identifier("times expected")


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        found: rows that were found.
        compared: rows of both sides together; a row on both counts once.
        broken: how many of them differ, are missing, or should not be there.
        sample: up to 20 of those as JSON, each with its key, what was observed and expected.
        seconds: how long it took.
    """

    found: int
    compared: int
    broken: int
    sample: tuple[str, ...]
    seconds: float

    def held_to(self, rows: int) -> Comparison:
        """The same, but rows of the relation that were not compared count as different."""
        missed = abs(self.found - rows)
        if not missed:
            return self
        return self._with({"compared": self.found}, {"compared": rows}, missed)

    def _with(
        self, observed: Mapping[str, int], expected: Mapping[str, int], more: int
    ) -> Comparison:
        told = json.dumps({"key": {}, "observed": observed, "expected": expected})
        sample = (told, *self.sample)[:_SAMPLE]
        return Comparison(self.found, self.compared, self.broken + more, sample, self.seconds)


@dataclass(frozen=True)
class Terms:
    """How rows are compared.

    Attributes:
        columns: all of them, with their types as the server names them.
        key: the columns that tell rows apart; none if rows may be equal.
        tolerance: by column, how far a value may be off, as a share of the expected value.
    """

    columns: Mapping[str, str]
    key: Sequence[str]
    tolerance: Mapping[str, float] = field(default_factory=dict)

    def is_float(self, column: str) -> bool:
        """Whether SQL takes two of its values as equal that are not: 0 and -0."""
        return self.columns[column] in _FLOATS

    def is_by_text(self, column: str) -> bool:
        """Whether values are compared as text.

        For other types equal values may differ (an interval of a month and one of 30 days), or
        there is no equality at all (``json``).
        """
        kind = self.columns[column]
        return kind not in _FLOATS and kind.partition("(")[0] not in _EQUAL_ARE_THE_SAME


def compare(
    connection: Connection, found: Composable, expected: Composable, terms: Terms
) -> Comparison:
    """Compare the rows of two queries.

    Args:
        connection: a pinned session, in a REPEATABLE READ transaction: rows that differ are read
            after they have been counted.
        found: a relation's name, or a query in parentheses.
        expected: a query in parentheses.
        terms: how.

    Raises:
        psycopg.Error: a query could not be run.
    """
    started = time.monotonic()
    counted, shown = (_by_key if terms.key else _by_content)(found, expected, terms)
    n_found, n_expected, compared, broken, twice = map(int, one_row(connection, counted))
    sample: tuple[str, ...] = ()
    if broken:
        sample = tuple(told for (told,) in connection.execute(shown).fetchall())
    done = Comparison(n_found, compared, broken, sample, time.monotonic() - started)
    return done._with({"rows": n_found}, {"rows": n_expected}, twice) if twice else done


def _by_content(found: Composable, expected: Composable, terms: Terms) -> tuple[Composed, Composed]:
    """Two queries: how many rows differ, and some of them."""
    columns = _list(Identifier(c) for c in terms.columns)
    values = _list(
        sql.SQL("{0}::text AS {0}" if terms.is_by_text(c) else "{}").format(Identifier(c))
        for c in terms.columns
    )
    below_zero = [  # only of zero: it is quick
        sql.SQL("({0} = 0 AND {0}::text = '-0')").format(Identifier(c))
        for c in terms.columns
        if terms.is_float(c)
    ]
    alike = sql.SQL(
        """
        WITH alike AS (
            SELECT
                {columns},
                count(*) FILTER (WHERE b.{there}) AS {found},
                count(*) FILTER (WHERE NOT b.{there}) AS {expected}
            FROM (
                SELECT TRUE AS {there}, {values} FROM {found_rows} AS f
                UNION ALL
                SELECT FALSE AS {there}, {values} FROM {expected_rows} AS s
            ) AS b
            GROUP BY {alike}
        )
        """
    ).format(
        columns=columns, values=values, alike=sql.SQL(", ").join([columns, *below_zero]),
        there=_THERE, found=_FOUND, expected=_EXPECTED, found_rows=found, expected_rows=expected,
    )  # fmt: skip
    counted = sql.SQL(
        "{alike} SELECT coalesce(sum(a.{found}), 0), coalesce(sum(a.{expected}), 0), "
        "coalesce(sum(greatest(a.{found}, a.{expected})), 0), "
        "coalesce(sum(abs(a.{found} - a.{expected})), 0), 0 FROM alike AS a"
    ).format(alike=alike, found=_FOUND, expected=_EXPECTED)
    shown = sql.SQL(
        """
        {alike}
        SELECT jsonb_build_object(
            'key', (SELECT to_jsonb(k) FROM (SELECT {columns}) AS k),
            'observed', jsonb_build_object('rows', a.{found}),
            'expected', jsonb_build_object('rows', a.{expected})
        )::text
        FROM alike AS a
        WHERE a.{found} <> a.{expected}
        ORDER BY {columns}
        LIMIT {most}
        """
    ).format(
        alike=alike, columns=_list(sql.SQL("a.{}").format(Identifier(c)) for c in terms.columns),
        found=_FOUND, expected=_EXPECTED, most=Literal(_SAMPLE),
    )  # fmt: skip
    return counted, shown


def _by_key(found: Composable, expected: Composable, terms: Terms) -> tuple[Composed, Composed]:
    """Two queries: how many rows differ, and some of them."""
    # Numbering the rows, in any order, shows whether a row is there, and how often.
    both = sql.SQL(
        "WITH found AS (SELECT row_number() OVER () AS {there}, {columns} FROM {found} AS f), "
        "expected AS (SELECT row_number() OVER () AS {there}, {columns} FROM {expected} AS s)"
    ).format(
        there=_THERE, columns=_list(Identifier(c) for c in terms.columns),
        found=found, expected=expected,
    )  # fmt: skip
    # As text, because NULL equals nothing. Comparing the columns shows whether it was NULL.
    alike = (
        sql.SQL("coalesce(f.{0}::text, 'NULL') = coalesce(s.{0}::text, 'NULL')").format(
            Identifier(c)
        )
        for c in terms.key
    )
    joined = sql.SQL("found AS f FULL JOIN expected AS s ON {}").format(
        sql.SQL(" AND ").join(alike)
    )
    alone = sql.SQL("f.{0} IS NULL OR s.{0} IS NULL").format(_THERE)
    differs = sql.SQL(" OR ").join([alone, *(_value_differs(c, terms) for c in terms.columns)])
    # All rows of both sides are there, so the highest number is their count. A key that is twice on
    # one side meets the other side's row twice.
    counted = sql.SQL(
        """
        {both}
        SELECT n.found, n.expected, n.compared, n.broken, n.met - n.found - n.expected
        FROM (
            SELECT
                coalesce(max(f.{there}), 0) AS found, coalesce(max(s.{there}), 0) AS expected,
                count(*) AS compared, count(*) FILTER (WHERE {differs}) AS broken,
                count(f.{there}) + count(s.{there}) AS met
            FROM {joined}
        ) AS n
        """
    ).format(both=both, differs=differs, there=_THERE, joined=joined)
    return counted, sql.SQL("{} {}").format(both, _sample(joined, differs, terms))


def _value_differs(column: str, terms: Terms) -> Composed:
    names = {"c": Identifier(column), "bound": Literal(terms.tolerance.get(column))}
    if column not in terms.tolerance:
        differs = "f.{c} IS DISTINCT FROM s.{c}"
        if terms.is_by_text(column):
            differs = "f.{c}::text IS DISTINCT FROM s.{c}::text"
        if terms.is_float(column):
            differs = f"({differs} OR (f.{{c}} = 0 AND f.{{c}}::text <> s.{{c}}::text))"
        return sql.SQL(differs).format(**names)
    # NaN is above every number, and infinity has no nearby values.
    return sql.SQL(
        "(f.{c} IS DISTINCT FROM s.{c} AND (abs(f.{c} - s.{c}) <= {bound} * abs(s.{c}) "
        "AND abs(s.{c}) < 'Infinity') IS NOT TRUE)"
    ).format(**names)


def _sample(joined: Composable, differs: Composable, terms: Terms) -> Composed:
    """Some rows that differ: key and differing columns; for a row on one side, only that fact."""
    key = _list(sql.SQL("coalesce(f.{0}, s.{0}) AS {0}").format(Identifier(c)) for c in terms.key)
    values = [
        sql.SQL("({name}, to_jsonb(f.{c}), to_jsonb(s.{c}), {differs})").format(
            name=Literal(c), c=Identifier(c), differs=_value_differs(c, terms)
        )
        for c in terms.columns
    ]
    return sql.SQL(
        """
        SELECT jsonb_build_object(
            'key', (SELECT to_jsonb(k) FROM (SELECT {key}) AS k),
            'observed', CASE
                WHEN num_nonnulls(f.{there}, s.{there}) = 2 THEN v.observed
                ELSE jsonb_build_object('rows', count_of.found)
            END,
            'expected', CASE
                WHEN num_nonnulls(f.{there}, s.{there}) = 2 THEN v.expected
                ELSE jsonb_build_object('rows', 1 - count_of.found)
            END
        )::text
        FROM {joined}
        CROSS JOIN LATERAL (SELECT num_nonnulls(f.{there}) AS found) AS count_of
        CROSS JOIN LATERAL (
            SELECT
                jsonb_object_agg(v.name, v.observed) AS observed,
                jsonb_object_agg(v.name, v.expected) AS expected
            FROM (VALUES {values}) AS v (name, observed, expected, differs)
            WHERE v.differs
        ) AS v
        WHERE {differs}
        ORDER BY {order}
        LIMIT {most}
        """
    ).format(
        key=key,
        there=_THERE,
        joined=joined,
        values=_list(values),
        differs=differs,
        order=_list(sql.SQL("coalesce(f.{0}, s.{0})").format(Identifier(c)) for c in terms.key),
        most=Literal(_SAMPLE),
    )


def _list(parts: Iterable[Composable]) -> Composed:
    return sql.SQL(", ").join(parts)
