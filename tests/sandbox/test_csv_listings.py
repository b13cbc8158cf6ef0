"""A CSV is loaded whole or not at all, and its errors say what, where and what was expected."""

import gzip
import os
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from sandbox import csv_listings
from sandbox.csv_listings import CsvError, csv_digest, csv_rows
from sandbox.load import load_csv
from sandbox.source_tables import LISTING_COLUMNS, SOURCES_SQL

VALID = b"listing_id,edited_date,price\n1,2024-01-05,4000\n2,2024-01-06,\n"


def write(folder: Path, content: bytes, name: str = "listings.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(path: Path, *columns: str) -> list[tuple[object, ...]]:
    positions = [LISTING_COLUMNS.index(column) for column in columns]
    return [tuple(row[position] for position in positions) for row in csv_rows(path)]


def loaded(database: str, path: Path, query: LiteralString, zone: str = "UTC") -> list[object]:
    with psycopg.connect(database, options=f"-c TimeZone={zone}") as connection:
        load_csv(connection, path)
        return [row[0] for row in connection.execute(query)]


# What is accepted


def test_columns_come_in_any_order_and_absent_ones_are_null(tmp_path: Path) -> None:
    path = write(tmp_path, b"price,edited_date,listing_id\n4000,2024-01-05,7\n")
    (row,) = csv_rows(path)
    present = {column: value for column, value in zip(LISTING_COLUMNS, row, strict=True) if value}
    assert present == {
        "listing_id": 7,
        "price": 4000,
        "edited_date": datetime.fromisoformat("2024-01-05"),
    }


def test_empty_fields_are_null_even_when_quoted(tmp_path: Path) -> None:
    path = write(tmp_path, b'listing_id,edited_date,title,spam\n7,,,""\n')
    assert read(path, "edited_date", "title", "spam") == [(None, None, None)]


def test_every_column_type_is_read(tmp_path: Path) -> None:
    header = "listing_id,edited_date,generation,condition_score,seller_rating,seller_stats_fetched"
    line = "9223372036854775807,2024-01-05T10:30:00.5+01:00,-2147483648,0.87654,9.5,TRUE"
    path = write(tmp_path, f"{header},title\n{line},Blå\n".encode())
    assert read(path, *header.split(","), "title") == [
        (
            2**63 - 1,
            datetime(2024, 1, 5, 9, 30, 0, 500_000, tzinfo=UTC),
            -(2**31),
            Decimal("0.877"),
            Decimal("9.50"),
            True,
            "Blå",
        )
    ]


def test_gzip_byte_order_mark_crlf_and_blank_lines_make_no_difference(tmp_path: Path) -> None:
    plain = list(csv_rows(write(tmp_path, VALID)))
    disguised = b"\xef\xbb\xbf" + VALID.replace(b"\n", b"\r\n") + b"\r\n\r\n"
    assert list(csv_rows(write(tmp_path, gzip.compress(disguised), "listings.csv.gz"))) == plain


def test_quoted_fields_may_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    path = write(tmp_path, b'listing_id,edited_date,title\n7,2024-01-05,"a, ""b""\nc"\n')
    assert read(path, "title") == [('a, "b"\nc',)]


def test_lengths_become_texts_of_that_length(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        b"listing_id,edited_date,title_chars,description_chars\n7,2024-01-05,42,0\n8,2024-01-05,,3\n",
    )
    assert read(path, "title", "description") == [("x" * 42, ""), (None, "xxx")]


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", datetime(2024, 7, 5, tzinfo=UTC)),
        ("Europe/Oslo", datetime(2024, 7, 4, 22, tzinfo=UTC)),
    ],
)
def test_a_date_is_midnight_in_the_sessions_zone(
    empty_database: str, tmp_path: Path, zone: str, expected: datetime
) -> None:
    path = write(tmp_path, b"listing_id,edited_date\n7,2024-07-05\n")
    query: LiteralString = 'SELECT edited_date FROM "iPhone".iphone_listings'
    assert loaded(empty_database, path, query, zone) == [expected]


def test_times_with_an_offset_do_not_depend_on_the_zone(
    empty_database: str, tmp_path: Path
) -> None:
    path = write(
        tmp_path,
        b"listing_id,edited_date\n7,2024-07-05 01:00:00Z\n8,2024-07-05 16:59+15:59\n",
    )
    query: LiteralString = 'SELECT edited_date FROM "iPhone".iphone_listings'
    assert (
        loaded(empty_database, path, query, "Asia/Tokyo")
        == [datetime(2024, 7, 5, 1, tzinfo=UTC)] * 2
    )


# What is refused: the first line is good each time, so that loading has begun

GOOD = b"1,2024-01-05,4000,good\n"
HEADER = b"listing_id,edited_date,price,title\n"
INTEGER = "expected an integer from -2147483648 to 2147483647"
TIME = "expected a date as YYYY-MM-DD or an ISO timestamp, its offset under 16 hours"

MALFORMED = {
    "price of words": (b"2,2024-01-05,cheap,", f"line 3, column price: got 'cheap', {INTEGER}"),
    "price with decimals": (b"2,2024-01-05,10.5,", f"line 3, column price: got '10.5', {INTEGER}"),
    "price too large": (
        b"2,2024-01-05,2147483648,",
        f"line 3, column price: got '2147483648', {INTEGER}",
    ),
    "id missing": (
        b",2024-01-05,1,",
        "line 3, column listing_id: got '', expected a value, as the column",
    ),
    "day does not exist": (
        b"2,2024-02-30,1,",
        f"line 3, column edited_date: got '2024-02-30', {TIME}",
    ),
    "local date format": (
        b"2,05.01.2024,1,",
        f"line 3, column edited_date: got '05.01.2024', {TIME}",
    ),
    "an offset that the database has not": (
        b"2,2024-01-05 01:00+16:00,1,",
        f"line 3, column edited_date: got '2024-01-05 01:00+16:00', {TIME}",
    ),
    "too few fields": (b"2,2024-01-05", "line 3: 2 fields, expected 4 as in the header"),
    "too many fields": (b"2,2024-01-05,1,a,b", "line 3: 5 fields, expected 4 as in the header"),
    "NUL in a text": (
        b"2,2024-01-05,1,a\0b",
        "line 3, column title: got 'a\\x00b', expected text without NUL",
    ),
    "not UTF-8": (b"2,2024-01-05,1,bl\xe5", "line 3: not UTF-8 text"),
    "quote never closed": (b'2,2024-01-05,1,"a', "line 3: not well-formed CSV"),
    "long value": (
        b"2,2024-01-05," + b"9" * 500 + b",",
        f"got '{'9' * 36}..., {INTEGER}",
    ),
    "line after a quoted line break": (
        b'2,2024-01-05,1,"a\nb"\n3,2024-01-05,x,',
        f"line 5, column price: got 'x', {INTEGER}",
    ),
}

BROKEN_FILES = {
    "empty file": (b"", "the file is empty"),
    "header only": (HEADER, "the file is without rows below its header"),
    "unknown column": (b"listing_id,edited_date,prise\n1,2024-01-05,1\n", "unknown column 'prise'"),
    "duplicate column": (b"listing_id,edited_date,listing_id\n", "duplicate column 'listing_id'"),
    "text and its length": (
        b"listing_id,edited_date,title,title_chars\n",
        "duplicate column 'title'",
    ),
    "no listing_id": (b"edited_date,price\n", "missing column 'listing_id'"),
    "no edited_date": (b"listing_id,price\n", "missing column 'edited_date'"),
    "no header": (GOOD, "line 1: unknown column '1'"),
}

BAD_FIELDS = [
    ("condition_score", "10", "expected a decimal number between -10 and 10"),
    ("condition_score", "9.9996", "expected a decimal number between -10 and 10"),
    ("condition_score", "NaN", "expected a decimal number between -10 and 10"),
    ("seller_rating", "1e1", "expected a decimal number between -100 and 100"),
    ("seller_stats_fetched", "maybe", "expected true or false (also t, f, yes, no, 1, 0)"),
    ("sold_date", "2024-01-05T25:00", TIME),
    ("title_chars", "-1", "expected a length in characters from 0 to 100000"),
    ("title_chars", "100001", "expected a length in characters from 0 to 100000"),
    ("generation", " 13", INTEGER),
    ("generation", "１３", INTEGER),  # full-width digits, which int() would take
]


def assert_refused_and_nothing_loaded(database: str, path: Path, *fragments: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SOURCES_SQL.read_text(encoding="utf-8"))
        with pytest.raises(CsvError) as refusal:
            load_csv(connection, path)
        count = connection.execute('SELECT count(*) FROM "iPhone".iphone_listings').fetchone()
    assert str(refusal.value).startswith(str(path))
    for fragment in fragments:
        assert fragment in str(refusal.value)
    assert count == (0,)


@pytest.mark.parametrize(("line", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_line_is_named_and_nothing_is_loaded(
    empty_database: str, tmp_path: Path, line: bytes, message: str
) -> None:
    path = write(tmp_path, HEADER + GOOD + line + b"\n")
    assert_refused_and_nothing_loaded(empty_database, path, message)


@pytest.mark.parametrize(("content", "message"), BROKEN_FILES.values(), ids=BROKEN_FILES)
def test_a_file_without_usable_header_or_rows_is_refused(
    empty_database: str, tmp_path: Path, content: bytes, message: str
) -> None:
    assert_refused_and_nothing_loaded(empty_database, write(tmp_path, content), message)


@pytest.mark.parametrize(
    "content",
    [VALID, gzip.compress(VALID)[:-9], b"\x1f\x8b\x08" + b"\0" * 30],
    ids=["plain", "cut off", "empty blocks"],
)
def test_a_gz_file_that_is_no_whole_gzip_is_refused(
    empty_database: str, tmp_path: Path, content: bytes
) -> None:
    path = write(tmp_path, content, "listings.csv.gz")
    assert_refused_and_nothing_loaded(empty_database, path, "not a complete gzip file")


def test_a_missing_file_is_refused(empty_database: str, tmp_path: Path) -> None:
    path = tmp_path / "nowhere.csv"
    assert_refused_and_nothing_loaded(empty_database, path, "cannot be read: No such file")


@pytest.mark.parametrize("read_file", [csv_digest, lambda path: list(csv_rows(path))])
@pytest.mark.parametrize("name", ["pipe.csv", "pipe.csv.gz", "folder.csv", "device.csv"])
def test_what_can_be_read_only_once_or_has_no_end_is_refused_unopened(
    tmp_path: Path, name: str, read_file: Callable[[Path], object]
) -> None:
    path = tmp_path / name
    if name.startswith("pipe"):
        os.mkfifo(path)
    elif name.startswith("folder"):
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(CsvError, match="not a file but a pipe, a device or a folder"):
        read_file(path)


def test_a_gzip_bomb_is_refused_and_nothing_is_loaded(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_listings, "_ALWAYS_UNPACKED", 100_000)
    rows = b"1,2024-01-05,4000,good\n" * 20_000
    path = write(tmp_path, gzip.compress(HEADER + rows), "listings.csv.gz")
    assert_refused_and_nothing_loaded(empty_database, path, "unpacks to more than", "100 times")
    assert len(list(csv_rows(write(tmp_path, HEADER + rows)))) == 20_000  # plain, it may load


@pytest.mark.parametrize("name", ["listings.csv", "listings.csv.gz"])
def test_a_line_that_never_ends_is_not_read_to_its_end(tmp_path: Path, name: str) -> None:
    endless = HEADER + b"x" * (32 * 1024**2)
    path = write(tmp_path, gzip.compress(endless, 1) if name.endswith("gz") else endless, name)
    with pytest.raises(CsvError, match="line 2: longer than 16,777,216 bytes"):
        list(csv_rows(path))


@pytest.mark.parametrize(("column", "field", "expected"), BAD_FIELDS)
def test_a_field_is_held_against_its_columns_type(
    tmp_path: Path, column: str, field: str, expected: str
) -> None:
    path = write(tmp_path, f"listing_id,edited_date,{column}\n1,,{field}\n".encode())
    with pytest.raises(CsvError) as refusal:
        list(csv_rows(path))
    assert str(refusal.value) == (f"{path}, line 2, column {column}: got {field!r}, {expected}.")
