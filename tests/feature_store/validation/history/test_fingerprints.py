"""A fingerprint says whether rows are the same: exact, and the same whoever asks.

A sum of hashes says the same, only within one version of PostgreSQL.
"""

from __future__ import annotations

from datetime import date

import psycopg
import pytest

from feature_store.connection import Connection
from feature_store.declarations.history_series import HistorySeries, Role, reach, read_history
from feature_store.errors import BadInput
from feature_store.validation.history.fingerprints import Fingerprint, LayerRows

EXPECTED = "c29d13275e24c184749bd35f499f13f06c79260a6f05560fda006b73b5d9590b"
DAY = "date '2026-03-01'"


def _layer(query: str, *key: str) -> HistorySeries:
    return HistorySeries("X", "", Role.INPUT, "x.x", key, (), None, query, query, (), (), ())


def _seen(connection: Connection, values: str, types: str) -> tuple[Fingerprint, str]:
    """The fingerprint and the sum of hashes of one day with these rows."""
    names = [f"c{n}" for n in range(len(types.split(",")))]
    casts = ", ".join(
        f"v.{n}::{t.strip()} AS {n}" for n, t in zip(names, types.split(","), strict=True)
    )
    query = f"SELECT {DAY} AS day, {casts} FROM (VALUES {values}) AS v ({', '.join(names)})"
    rows = LayerRows(connection, _layer(query))
    ((day, total),) = rows.sums().items()
    return rows.fingerprints([day])[day], total


@pytest.mark.parametrize(
    ("types", "one", "other"),
    [
        ("float8", "('0')", "('-0')"),
        # This arithmetic makes a NaN of the other sign.
        ("float8", "('NaN'::float8)", "('inf'::float8 - 'inf'::float8)"),
        ("numeric", "(1.5)", "(1.500)"),
        ("numeric", "(100)", "(1e2)"),
        ("timestamptz", "('2026-03-01 12:00+00')", "('2026-03-01 13:00+01')"),
        ("int, text", "(1, 'a'), (2, NULL)", "(2, NULL), (1, 'a')"),
    ],
)
def test_equal_rows_have_one_fingerprint(scratch, types, one, other):
    connection = scratch.connection
    assert _seen(connection, one, types) == _seen(connection, other, types)


@pytest.mark.parametrize(
    ("types", "one", "other"),
    [
        ("text", "(NULL)", "('')"),
        ("int", "(NULL)", "(0)"),
        ("float8", "(0.1::float8)", "(0.1::float8 + 1.5e-17::float8)"),
        ("float8", "(1)", "(1.0000000000000002::float8)"),
        ("text, text", "('ab', 'c')", "('a', 'bc')"),
        ("int, int", "(1, NULL)", "(NULL, 1)"),
        ("text", "('a'), ('a')", "('a')"),
        ("text", "('a'), ('a'), ('b')", "('a'), ('b'), ('b')"),
        ("text", "('a'), ('a')", "('b'), ('b')"),
        ("text", "('Å')", "('A')"),
    ],
)
def test_different_rows_have_different_fingerprints(scratch, types, one, other):
    seen = _seen(scratch.connection, one, types)
    seen_then = _seen(scratch.connection, other, types)
    assert seen[0] != seen_then[0]
    assert seen[1] != seen_then[1]


def test_a_fingerprint_is_the_same_on_every_server_and_client(store):
    """One literal for all server versions, settings and encodings of the client."""
    values = "(1, 0.1, 1.50, 'Åse', '2026-03-01 23:30+00', TRUE, '2026-03-01')"
    types = "int8, float8, numeric, text, timestamptz, bool, date"
    plain, _ = _seen(store.connection, values, types)
    assert (plain.rows, plain.digest.hex()) == (1, EXPECTED)
    with psycopg.connect(store.conninfo, autocommit=True) as other:
        for setting in (
            "TimeZone = 'Pacific/Kiritimati'",
            "extra_float_digits = -5",
            "bytea_output = 'escape'",
            "DateStyle = 'SQL, DMY'",
            "IntervalStyle = 'iso_8601'",
            "client_encoding = 'LATIN1'",
        ):
            other.execute(f"SET {setting}".encode())
        # The query gives the day itself; elsewhere the pinned zone decides it.
        values = values.replace("'2026-03-01')", "'2026-03-01'::date)")
        assert _seen(other, values, types)[0] == plain


def test_columns_of_every_name_are_compared(scratch):
    """A ``%`` in a name is no placeholder, though the queries bind values."""
    query = f'SELECT {DAY} AS day, 1 AS "id_%", 2 AS "share_%s", \'%\' AS words'
    rows = LayerRows(scratch.connection, _layer(query, "id_%"))
    assert rows.set_baseline() == rows.fingerprints(rows.sums())


def test_rows_without_a_day_belong_to_no_day(scratch):
    query = (
        "SELECT v.day::date AS day, 1 AS n FROM "
        "(VALUES ('2026-03-01'), (NULL), ('infinity'), ('-infinity'), ('20226-03-01')) AS v (day)"
    )
    rows = LayerRows(scratch.connection, _layer(query))
    assert rows.sums().keys() == {date(2026, 3, 1)}
    assert {day: seen.rows for day, seen in rows.fingerprints(rows.sums()).items()} == {
        date(2026, 3, 1): 1
    }


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("SELECT 1 AS n", ()),
        ("SELECT now() AS day, 1 AS n", ()),
        (f"SELECT {DAY} AS day, 1 AS n", ("listing_id",)),
    ],
)
def test_a_query_without_day_or_key_is_refused(scratch, query, key):
    with pytest.raises(BadInput, match="expected first the column day"):
        LayerRows(scratch.connection, _layer(query, *key))


def test_what_a_day_of_each_input_can_reach(settings, store_files):
    layers = read_history(settings.include_dir, store_files)
    assert {x.name: reach(layers, x.name) for x in layers if x.role is Role.INPUT} == {
        "A": {"E": (0, 0), "D4": (1, None)},
        "D1": {"E": (1, 14), "D4": (1, None)},
        "D2": {"E": (0, 0), "D4": (1, None)},
        "D3": {"E": (1, 30), "D4": (2, None)},
        "F0": {},
        "device counts": {"F2": (1, None)},
    }


_FILE = "sql/history/ml.ask_daily_median_v1.sql"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("-- Role:       input\n", "", "must begin with"),
        ("input", "outcome", "expected one of input, output, link, reported"),
        ("-- Key: ", "-- Depends:    E yesterday\n-- Key: ", "is not a window of days"),
        ("-- Key: ", "-- Depends:    E2 0\n-- Key: ", "E2, which no file has"),
        ("-- Key: ", "-- Appears:    E2\n-- Key: ", "E2, which no file has"),
        ("ask_cnt. ", "E2: ask_cnt. ", "E2, which no file has"),
        ("-- Key: ", "-- Depends:    D4 0\n-- Key: ", "on each other in a circle"),
        ("ml.ask_daily_median_v1 AS", "ml.other AS", "is not a relation of the store"),
        ("AS a\n", "AS a; SELECT 1", "it is 2"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(include, old, new, words):
    include.edit(_FILE, old, new)
    with pytest.raises(BadInput, match=words):
        read_history(include.directory, include.store)
