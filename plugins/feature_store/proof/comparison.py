"""Compares two sets of rows, column by column: the found rows and the expected ones.

Rows are joined by their key. NULL equals NULL, in the key and in every other column. If rows may be
equal, the comparison counts how often each row is there on either side.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from decimal import Decimal

from psycopg import sql
from psycopg.sql import Composable, Composed, Identifier, Literal

from feature_store.connection import Connection, one_row
from feature_store.proof.digest import hash_of_a_row
from feature_store.proof.result import Comparison
from feature_store.proof.terms import AS_TEXT, Terms
from feature_store.text_format import MOST_ROWS

# Names that no column of a relation has.
_THERE = Identifier("is there")
_HASH = Identifier("hash of the row")
_FOUND, _EXPECTED = Identifier("times found"), Identifier("times expected")


def compare(
    connection: Connection,
    found: Composable,
    expected: Composable,
    terms: Terms,
    *,
    digested: bool = False,
) -> Comparison:
    """Compare the rows of two queries.

    Args:
        connection: a pinned session, in a REPEATABLE READ transaction: rows that differ are read
            after they have been counted.
        found: a relation's name, or a query in parentheses.
        expected: a query in parentheses.
        terms: how.
        digested: whether to give the digest of the rows found, too.

    Raises:
        psycopg.Error: a query could not be run.
    """
    started = time.monotonic()
    hashed = hash_of_a_row(terms) if digested else sql.SQL("0")
    counted, shown = (_by_key if terms.key else _by_content)(found, expected, terms, hashed)
    *counts, digest = one_row(connection, counted)
    n_found, n_expected, compared, broken, twice = map(int, counts)
    sample: tuple[str, ...] = ()
    if broken:
        sample = tuple(told for (told,) in connection.execute(shown).fetchall())
    seconds = time.monotonic() - started
    done = Comparison(
        n_found, compared, broken, sample, seconds, Decimal(digest) if digested else None
    )
    return done._with({"rows": n_found}, {"rows": n_expected}, twice) if twice else done


def _by_content(
    found: Composable, expected: Composable, terms: Terms, hashed: Composable
) -> tuple[Composed, Composed]:
    """Two queries: how many rows differ, and some of them."""
    columns = _list(Identifier(c) for c in terms.columns)
    values = _list(sql.SQL("{} AS {}").format(terms.exact(c), Identifier(c)) for c in terms.columns)
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
                count(*) FILTER (WHERE NOT b.{there}) AS {expected},
                sum(b.{hash}) AS {hash}
            FROM (
                SELECT TRUE AS {there}, {hashed} AS {hash}, {values} FROM {found_rows} AS f
                UNION ALL
                SELECT FALSE AS {there}, 0 AS {hash}, {values} FROM {expected_rows} AS s
            ) AS b
            GROUP BY {alike}
        )
        """
    ).format(
        columns=columns, values=values, alike=sql.SQL(", ").join([columns, *below_zero]),
        there=_THERE, hash=_HASH, hashed=hashed, found=_FOUND, expected=_EXPECTED,
        found_rows=found, expected_rows=expected,
    )  # fmt: skip
    counted = sql.SQL(
        "{alike} SELECT coalesce(sum(a.{found}), 0), coalesce(sum(a.{expected}), 0), "
        "coalesce(sum(greatest(a.{found}, a.{expected})), 0), "
        "coalesce(sum(abs(a.{found} - a.{expected})), 0), 0, "
        "coalesce(sum(a.{hash}), 0) FROM alike AS a"
    ).format(alike=alike, found=_FOUND, expected=_EXPECTED, hash=_HASH)
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
        found=_FOUND, expected=_EXPECTED, most=Literal(MOST_ROWS),
    )  # fmt: skip
    return counted, shown


def _by_key(
    found: Composable, expected: Composable, terms: Terms, hashed: Composable
) -> tuple[Composed, Composed]:
    """Two queries: how many rows differ, and some of them."""
    # Numbering the rows, in any order, shows whether a row is there, and how often.
    both = sql.SQL(
        "WITH found AS (SELECT row_number() OVER () AS {there}, {hashed} AS {hash}, {columns} "
        "FROM {found} AS f), "
        "expected AS (SELECT row_number() OVER () AS {there}, {columns} FROM {expected} AS s)"
    ).format(
        there=_THERE, hash=_HASH, hashed=hashed, found=found, expected=expected,
        columns=_list(Identifier(c) for c in terms.columns),
    )  # fmt: skip
    joined = sql.SQL("found AS f FULL JOIN expected AS s ON {}").format(
        sql.SQL(" AND ").join(_key_is_alike(c, terms) for c in terms.key)
    )
    alone = sql.SQL("f.{0} IS NULL OR s.{0} IS NULL").format(_THERE)
    differs = sql.SQL(" OR ").join([alone, *(_value_differs(c, terms) for c in terms.columns)])
    # All rows of both sides are there, so the highest number is their count. A key that is twice on
    # one side meets the other side's row twice.
    counted = sql.SQL(
        """
        {both}
        SELECT n.found, n.expected, n.compared, n.broken, n.met - n.found - n.expected, n.digest
        FROM (
            SELECT
                coalesce(max(f.{there}), 0) AS found, coalesce(max(s.{there}), 0) AS expected,
                count(*) AS compared, count(*) FILTER (WHERE {differs}) AS broken,
                count(f.{there}) + count(s.{there}) AS met,
                coalesce(sum(f.{hash}), 0) AS digest
            FROM {joined}
        ) AS n
        """
    ).format(both=both, differs=differs, there=_THERE, hash=_HASH, joined=joined)
    return counted, sql.SQL("{} {}").format(both, _sample(joined, differs, terms))


def _key_is_alike(column: str, terms: Terms) -> Composed:
    """Whether a row of either side has this key: as text, because NULL equals nothing."""
    alike = sql.SQL("coalesce({}, 'NULL') = coalesce({}, 'NULL')").format(
        terms.as_text("f", column), terms.as_text("s", column)
    )
    if not terms.is_by_text(column):
        return alike
    null = sql.SQL(" AND (f.{0} IS NULL) = (s.{0} IS NULL)").format(Identifier(column))
    return alike + null  # its text may read NULL


def _value_differs(column: str, terms: Terms) -> Composed:
    differs = "f.{0} IS DISTINCT FROM s.{0}"
    if column in terms.tolerance:
        # NaN is above every number, and infinity has no nearby values.
        differs += (
            " AND (abs(f.{0} - s.{0}) <= {1} * abs(s.{0}) AND abs(s.{0}) < 'Infinity') IS NOT TRUE"
        )
    elif terms.is_by_text(column):
        differs = f"f.{AS_TEXT} IS DISTINCT FROM s.{AS_TEXT}"
    if terms.is_float(column):
        differs += " OR (f.{0} = 0 AND f.{0}::text <> s.{0}::text)"
    bound = Literal(terms.tolerance.get(column))
    return sql.SQL(f"({differs})").format(Identifier(column), bound)


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
        most=Literal(MOST_ROWS),
    )


def _list(parts: Iterable[Composable]) -> Composed:
    return sql.SQL(", ").join(parts)
