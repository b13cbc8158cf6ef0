"""Two sets of rows compared, column by column: those that were found, and those that were expected.

Rows are joined by their key, in which NULL equals NULL, and so it does in every other column. Where
rows may be alike, each is told apart by its whole content and its number among those alike.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection, sql
from psycopg.sql import Composable, Identifier, Literal

_SAMPLE = 20
# No column of a relation is called so.
_THERE = Identifier("is there")
_NUMBER = "number among those alike"


@dataclass(frozen=True)
class Comparison:
    """What comparing came to.

    Attributes:
        found: rows that were found.
        compared: rows of either side, those on both counted once.
        broken: how many of them differ, are missing or are one too many.
        sample: up to 20 of those as JSON, each with its key, what was observed and expected.
        seconds: that it took.
    """

    found: int
    compared: int
    broken: int
    sample: tuple[str, ...]
    seconds: float

    def held_to(self, rows: int) -> Comparison:
        """The same, where the relation has so many rows: each that was not compared differs."""
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
        columns: all of them.
        key: those that tell rows apart; none where rows may be alike.
        tolerance: by column, how far a value may be off, as a share of what is expected.
    """

    columns: Sequence[str]
    key: Sequence[str]
    tolerance: Mapping[str, float] = field(default_factory=dict)


def compare(
    connection: Connection[Any], found: Composable, expected: Composable, terms: Terms
) -> Comparison:
    """Compare the rows of two queries.

    Args:
        connection: a pinned session, in a REPEATABLE READ transaction: rows that differ are looked
            up after they have been counted.
        found: a query, or the name of a relation in parentheses fit to stand behind FROM.
        expected: a query in parentheses.
        terms: how.

    Raises:
        psycopg.Error: a query could not be run.
    """
    started = time.monotonic()
    both = _both(found, expected, terms)
    counted = sql.SQL(
        "{both} SELECT (SELECT count(*) FROM found), (SELECT count(*) FROM expected), count(*), "
        "count(*) FILTER (WHERE {differs}), count(f.{there}), count(s.{there}) FROM {joined}"
    ).format(both=both, differs=_differs(terms), there=_THERE, joined=_joined(terms))
    row = connection.execute(counted).fetchone()
    assert row is not None  # an aggregate
    n_found, n_expected, compared, broken, joined_found, joined_expected = row
    sample: tuple[str, ...] = ()
    if broken:
        shown = sql.SQL("{} {}").format(both, _sample(terms))
        sample = tuple(told for (told,) in connection.execute(shown).fetchall())
    seconds = time.monotonic() - started
    done = Comparison(n_found, compared, broken, sample, seconds)
    # A key that is there twice on one side meets the other side's row twice.
    twice = joined_found - n_found + joined_expected - n_expected
    return done._with({"rows": n_found}, {"rows": n_expected}, twice) if twice else done


def _both(found: Composable, expected: Composable, terms: Terms) -> Composable:
    """Each side's rows, worked out once, by plans that know nothing of each other."""
    columns = _list(Identifier(c) for c in terms.columns)
    shown: Composable = columns
    if not terms.key:
        number = sql.SQL("row_number() OVER (PARTITION BY {})").format(columns)
        shown = sql.SQL("{}, {} AS {}").format(columns, number, Identifier(_NUMBER))
    return sql.SQL(
        "WITH found AS MATERIALIZED (SELECT TRUE AS {there}, {shown} FROM {found} AS f), "
        "expected AS MATERIALIZED (SELECT TRUE AS {there}, {shown} FROM {expected} AS s)"
    ).format(there=_THERE, shown=shown, found=found, expected=expected)


def _joined(terms: Terms) -> Composable:
    # As elements of arrays, for there NULL equals NULL, and they can be hashed.
    keys = terms.key or (*terms.columns, _NUMBER)
    alike = (sql.SQL("ARRAY[f.{0}] = ARRAY[s.{0}]").format(Identifier(c)) for c in keys)
    return sql.SQL("found AS f FULL JOIN expected AS s ON {}").format(sql.SQL(" AND ").join(alike))


def _differs(terms: Terms) -> Composable:
    alone = sql.SQL("f.{0} IS NULL OR s.{0} IS NULL").format(_THERE)
    values = (_value_differs(c, terms) for c in terms.columns if terms.key and c not in terms.key)
    return sql.SQL(" OR ").join([alone, *values])


def _value_differs(column: str, terms: Terms) -> Composable:
    names = {"c": Identifier(column), "bound": Literal(terms.tolerance.get(column))}
    if column not in terms.tolerance:
        return sql.SQL("f.{c} IS DISTINCT FROM s.{c}").format(**names)
    # NaN is above every number, and no share of infinity is near it.
    return sql.SQL(
        "(f.{c} IS DISTINCT FROM s.{c} AND (abs(f.{c} - s.{c}) <= {bound} * abs(s.{c}) "
        "AND abs(s.{c}) < 'Infinity') IS NOT TRUE)"
    ).format(**names)


def _sample(terms: Terms) -> Composable:
    """Some rows that differ: the key, and the columns that do; of a lone row just that."""
    keys = terms.key or terms.columns
    key = _list(sql.SQL("coalesce(f.{0}, s.{0}) AS {0}").format(Identifier(c)) for c in keys)
    values: list[Composable] = [
        sql.SQL("({name}, to_jsonb(f.{c}), to_jsonb(s.{c}), {differs})").format(
            name=Literal(c), c=Identifier(c), differs=_value_differs(c, terms)
        )
        for c in (terms.columns if terms.key else ())
        if c not in terms.key
    ]
    values.append(sql.SQL("('rows', '1', '1', FALSE)"))
    return sql.SQL(
        """
        SELECT jsonb_build_object(
            'key', (SELECT to_jsonb(k) FROM (SELECT {key}) AS k),
            'observed', CASE
                WHEN f.{there} AND s.{there} THEN v.observed
                ELSE jsonb_build_object('rows', count_of.found)
            END,
            'expected', CASE
                WHEN f.{there} AND s.{there} THEN v.expected
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
        joined=_joined(terms),
        values=_list(values),
        differs=_differs(terms),
        order=_list(sql.SQL("coalesce(f.{0}, s.{0})").format(Identifier(c)) for c in keys),
        most=Literal(_SAMPLE),
    )


def _list(parts: Iterable[Composable]) -> Composable:
    return sql.SQL(", ").join(parts)
