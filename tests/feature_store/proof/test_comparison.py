"""What comparing two sets of rows finds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from psycopg import sql

from feature_store.proof.comparison import compare
from feature_store.proof.result import Comparison
from feature_store.proof.terms import Terms

_COLUMNS = {
    "day": "date",
    "color": "text",
    "n": "integer",
    "share": "double precision",
    "half": "double precision",
    "span": "interval",
    "told": "json",
    "size": "numeric",
}


def _terms(columns: str, key: str = "", tolerance: dict[str, float] | None = None) -> Terms:
    return Terms({c: _COLUMNS[c] for c in columns.split()}, key.split(), tolerance or {})


_KEYED = _terms("day color n share", "day color", {"share": 1e-12})
_ALIKE = _terms("day n")


def _rows(rows: list[str], columns: list[str]) -> sql.Composable:
    cast = ", ".join(f"{c}::{_COLUMNS[c]} AS {c}" for c in columns)
    values = ", ".join(rows) or f"({', '.join(['NULL'] * len(columns))})"
    text = f"(SELECT {cast} FROM (VALUES {values}) AS v ({', '.join(columns)}) WHERE {bool(rows)})"
    return sql.SQL(text)


@pytest.fixture
def compared(sources_db: Any) -> Any:
    def rows(found: list[str], expected: list[str], terms: Terms = _KEYED) -> Comparison:
        columns = list(terms.columns)
        both = _rows(found, columns), _rows(expected, columns)
        return compare(sources_db.connection, *both, terms)

    return rows


def _sample(done: Comparison) -> list[dict[str, Any]]:
    return [json.loads(one) for one in done.sample]


_ROW = "('2026-01-01', 'gold', 1, 0.5)"


def test_equal_rows_agree_whatever_is_null_in_them(compared):
    rows = [
        _ROW,
        "('2026-01-01', NULL, 2, NULL)",
        "(NULL, 'gold', NULL, 'NaN')",
        "(NULL, NULL, 3, 1)",
    ]
    done = compared(rows, rows[::-1])
    assert (done.found, done.compared, done.broken) == (4, 4, 0)


def test_an_empty_relation_agrees_with_an_empty_one(compared):
    for terms in (_KEYED, _ALIKE):
        done = compared([], [], terms)
        assert (done.found, done.compared, done.broken, done.sample) == (0, 0, 0, ())


@pytest.mark.parametrize(
    ("column", "found", "expected"),
    [
        ("n", "('2026-01-01', NULL, 2, 0.5)", "('2026-01-01', NULL, 3, 0.5)"),
        ("n", "('2026-01-01', NULL, NULL, 0.5)", "('2026-01-01', NULL, 0, 0.5)"),
        ("share", "('2026-01-01', NULL, 2, NULL)", "('2026-01-01', NULL, 2, 0)"),
    ],
)
def test_a_value_that_differs_is_told_with_its_key_and_nothing_else(
    compared, column, found, expected
):
    done = compared([_ROW, found], [_ROW, expected])
    assert (done.compared, done.broken) == (2, 1)
    (row,) = _sample(done)
    assert row["key"] == {"day": "2026-01-01", "color": None}
    assert list(row["observed"]) == list(row["expected"]) == [column]
    assert row["observed"] != row["expected"]


@pytest.mark.parametrize("rows", [["(NULL, NULL, 1, 1)"], [_ROW]], ids=["NULL key", "key"])
def test_a_row_too_many_and_one_too_few_differ(compared, rows):
    key = (
        {"day": None, "color": None}
        if "NULL" in rows[0]
        else {"day": "2026-01-01", "color": "gold"}
    )
    surplus, lost = compared(rows, []), compared([], rows)
    assert (surplus.found, surplus.compared, surplus.broken) == (1, 1, 1)
    assert (lost.found, lost.compared, lost.broken) == (0, 1, 1)
    none, one = {"rows": 0}, {"rows": 1}
    assert _sample(surplus) == [{"key": key, "observed": one, "expected": none}]
    assert _sample(lost) == [{"key": key, "observed": none, "expected": one}]


@pytest.mark.parametrize("twice", ["found", "expected"])
def test_a_key_that_is_there_twice_on_one_side_differs(compared, twice):
    two, one = [_ROW, _ROW], [_ROW]
    done = compared(two, one) if twice == "found" else compared(one, two)
    assert done.broken == 1
    counts = {"observed": {"rows": 2}, "expected": {"rows": 1}}
    if twice == "expected":
        counts = {"observed": {"rows": 1}, "expected": {"rows": 2}}
    assert _sample(done) == [{"key": {}, **counts}]


def test_a_word_that_reads_null_is_not_null(compared):
    null, word = "('2026-01-01', NULL, 1, 1)", "('2026-01-01', 'NULL', 1, 1)"
    assert compared([word], [null]).broken == 2
    done = compared([null, word], [word, null])
    assert (done.compared, done.broken) == (2, 0)


def test_a_key_with_closing_zeros_is_the_one_without(compared):
    done = compared(["(1.00, 1)"], ["(1.0, 1)"], _terms("size n", "size"))
    assert (done.compared, done.broken) == (1, 0)


@pytest.mark.parametrize(
    ("found", "expected", "near"),
    [
        ("1 + 1e-13", "1", True),
        ("-1e9 - 1e-5", "-1e9", True),
        ("1 + 1e-11", "1", False),
        ("1e-300", "0", False),
        ("'NaN'", "1", False),
        ("1", "'NaN'", False),
        ("1", "'Infinity'", False),
        ("'-Infinity'", "'Infinity'", False),
        ("'Infinity'", "'Infinity'", True),
        ("NULL", "1", False),
    ],
)
def test_a_tolerance_is_a_share_of_what_is_expected(compared, found, expected, near):
    done = compared([f"(NULL, NULL, 1, {found}::float8)"], [f"(NULL, NULL, 1, {expected}::float8)"])
    assert done.broken == (0 if near else 1)


def test_without_a_tolerance_the_last_bit_counts(compared):
    exact = replace(_KEYED, tolerance={})
    rows = ["(NULL, NULL, 1, 1 + 2.3e-16::float8)"], ["(NULL, NULL, 1, 1)"]
    assert compared(*rows, exact).broken == 1


def test_rows_that_may_be_alike_are_counted(compared):
    twice, once = "('2026-01-01', 1)", "(NULL, NULL)"
    agree = compared([twice, once, twice], [once, twice, twice], _ALIKE)
    assert (agree.found, agree.compared, agree.broken) == (3, 3, 0)
    lost = compared([twice, once, once], [once, twice, twice], _ALIKE)
    assert (lost.found, lost.compared, lost.broken) == (3, 4, 2)
    assert _sample(lost) == [
        {"key": {"day": "2026-01-01", "n": 1}, "observed": {"rows": 1}, "expected": {"rows": 2}},
        {"key": {"day": None, "n": None}, "observed": {"rows": 2}, "expected": {"rows": 1}},
    ]


def test_all_that_differs_is_counted_and_twenty_are_told(compared):
    many = [f"(date '2026-01-01' + {n}, 'gold', 1, 1)" for n in range(25)]
    done = compared(many, [])
    assert (done.broken, len(done.sample)) == (25, 20)
    assert _sample(done)[0]["key"]["day"] == "2026-01-01"


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_that_were_not_compared_differ(compared, rows):
    done = compared([_ROW, "(NULL, NULL, 1, 1)"], [_ROW, "(NULL, NULL, 1, 1)"])
    assert done.counting_missed(2) == done
    held = done.counting_missed(rows)
    assert held.broken == 1
    counts = {"observed": {"compared": 2}, "expected": {"compared": rows}}
    assert _sample(held) == [{"key": {}, **counts}]


@pytest.mark.parametrize("key", ["day", ""])
@pytest.mark.parametrize(
    ("column", "found", "expected", "differ"),
    [
        ("half", "0", "0", False),
        ("half", "0", "-0", True),
        ("share", "0", "-0", True),
        ("span", "1 day", "24:00:00", True),
        ("span", "1 mon", "30 days", True),
        ("span", "30 days", "30 days", False),
        ("told", "[1]", "[1]", False),
        ("told", "[1]", "[2]", True),
    ],
)
def test_two_values_that_the_server_takes_as_equal_are_two(
    compared, key, column, found, expected, differ
):
    """With a key and without one; and what the server cannot compare at all is compared, too."""
    rows = ([f"('2026-01-01', '{value}')"] for value in (found, expected))
    tolerance = {"share": 1e-12} if key and column == "share" else {}
    done = compared(*rows, _terms(f"day {column}", key, tolerance))
    assert bool(done.broken) == differ
    assert bool(done.sample) == differ


@pytest.mark.parametrize("key", ["n", "told", ""], ids=["a value", "the key", "whole rows"])
@pytest.mark.parametrize("kind", ["text", "character varying(9)", "text[]"])
def test_texts_that_a_collation_takes_as_equal_differ(any_case: Any, key: str, kind: str) -> None:
    """A store's texts have the collation of its sources, and a model reads their letters."""
    value = "'{{{}}}'" if kind.endswith("[]") else "'{}'"
    bergen, as_source, same = (
        sql.SQL(f"(SELECT 1 AS n, {value.format(told)}::{kind} COLLATE any_case AS told)")
        for told in ("Bergen", "bergen", "bergen")
    )
    terms = Terms({"n": "integer", "told": kind}, [key] if key else [])
    assert compare(any_case, same, as_source, terms).broken == 0
    assert compare(any_case, bergen, as_source, terms).broken > 0
