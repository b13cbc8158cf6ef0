"""Specifications: what a file may say, and what comparing two sets of rows finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from feature_store.declarations.specifications import read_specifications
from feature_store.declarations.store_definition import read_store
from feature_store.errors import BadInput, NotReady
from feature_store.proof.comparison import Comparison, Terms, compare
from feature_store.relation_name import Name
from feature_store.schema.apply import apply
from feature_store.schema.readiness import check_ready

_KEYED = Terms(["day", "color", "n", "share"], ["day", "color"], {"share": 1e-12})
_ALIKE = Terms(["day", "n"], [])
_COLUMNS = {"day": "date", "color": "text", "n": "int", "share": "float8"}
_A = "ml.tom_features_v1_mv"
_D3 = "ml.sold_prices_v1_mv"


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


def test_nothing_agrees_with_nothing(compared):
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
    done = compared(["('2026-01-01', 'NULL', 1, 1)"], ["('2026-01-01', NULL, 1, 1)"])
    assert done.broken == 1


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
    exact = Terms(_KEYED.columns, _KEYED.key)
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
    assert done.held_to(2) == done
    held = done.held_to(rows)
    assert held.broken == 1
    counts = {"observed": {"compared": 2}, "expected": {"compared": rows}}
    assert _sample(held) == [{"key": {}, **counts}]


_HEADER = (
    "-- Specification: some rows\n-- Relation:      ml.x (X)\n-- Key:           day, color\n"
    "-- Route:         another\n"
)


def _read(folder: Path, text: str, name: str = "ml.x") -> Any:
    (folder / "specifications").mkdir()
    path = folder / "specifications" / f"{name}.sql"
    path.write_text(text)
    return read_specifications(folder)[Name("ml", "x")]


def test_a_file_says_whose_rows_how_they_are_told_apart_and_how_near_is_near(tmp_path):
    tolerance = "-- Tolerance:     share, n within 1e-12\n"
    read = _read(tmp_path, f"{_HEADER}{tolerance}SELECT y.* FROM ml.y AS y;\n")
    assert read.key == ("day", "color")
    assert read.tolerance == {"share": 1e-12, "n": 1e-12}
    assert read.reads == {Name("ml", "y")}
    assert read.query == "SELECT y.* FROM ml.y AS y"
    assert not read.by_owner


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("-- Route:         another\n", ""), "must begin with the comment lines"),
        (("ml.x (X)", "ml.y"), "specifies ml.y; its name says ml.x"),
        (("SELECT 1", "SELECT 1; SELECT 2"), "must be one statement"),
        (("SELECT 1", "DELETE FROM ml.y"), "must be one query"),
        (("SELECT 1", "SELECT * FROM ml.x"), "ml.x reads itself"),
        (("SELECT 1", "-- Tolerance: share within much\nSELECT 1"), "the tolerance is"),
        (("SELECT 1", "-- Adopted: by nobody\nSELECT 1"), "as its owner defines it"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path, change, words):
    with pytest.raises(BadInput, match=words):
        _read(tmp_path, f"{_HEADER}SELECT 1".replace(*change))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    l.price,\n", "", "it lacks price"),
        ("    l.price,\n", "    l.price AS prices,\n", "has no column prices"),
        ("    l.price,\n", "    l.price::bigint,\n", "its price is bigint, not integer"),
        ("    l.model,\n    l.storage_gb", "    l.storage_gb,\n    l.model", "not in the order"),
        ("Key:           listing_id", "Key:           id", "names id, which it does not give"),
        ("l.listing_id,\n", "l.nothing,\n", "cannot be run: column l.nothing does not exist"),
    ],
)
def test_one_that_does_not_give_its_relations_columns_stops_the_run(
    store_db, include, old, new, words
):
    include.edit(f"sql/specifications/{_A}.sql", old, new)
    with pytest.raises(NotReady, match=words):
        check_ready(store_db.connection, include.store, include.settings)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('FROM "iPhone".iphone_listings AS l', "FROM ml.nothing AS l", "ml.nothing is neither"),
        (
            'FROM "iPhone".iphone_listings AS l',
            "FROM ml.tom_train_base_v1_mv AS l",
            "reads ml.tom_train_base_v1_mv, which is refreshed after ml.sold_prices_v1_mv",
        ),
    ],
)
def test_one_that_reads_what_is_not_there_when_it_is_compared_is_refused(
    store_db, include, old, new, words
):
    path = include.directory / "sql" / "specifications" / f"{_D3}.sql"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(BadInput, match=words):
        apply(store_db.connection, read_store(include.directory), include.settings)


def test_a_relation_that_is_refreshed_and_has_none_is_refused(store_db, include):
    (include.directory / "sql" / "specifications" / f"{_A}.sql").unlink()
    with pytest.raises(BadInput, match=f"nothing else says what the rows of {_A} are"):
        check_ready(store_db.connection, read_store(include.directory), include.settings)


def test_a_specification_of_no_relation_is_refused(include):
    folder = include.directory / "sql" / "specifications"
    text = (folder / f"{_D3}.sql").read_text()
    (folder / "ml.typo.sql").write_text(text.replace(_D3, "ml.typo"))
    with pytest.raises(BadInput, match=r"is about ml\.typo, which no file defines"):
        read_store(include.directory)
