"""Loading creates the source tables and fills them in one transaction, once."""

from pathlib import Path

import psycopg
import pytest

from feature_store.connection import one_value
from sandbox.csv_listings import CsvError
from sandbox.load import TablesNotEmptyError, load_csv, load_sample
from sandbox.sample.generator import SampleOptions, ai_rows, image_rows, listing_rows
from sandbox.source_tables import COLUMN_TYPES, LISTING_TABLE, SOURCES_SQL

SMALL = SampleOptions(listings=100, days=10)
EXPECTED = {
    "iPhone.iphone_listings": len(list(listing_rows(SMALL))),
    "iPhone.iphone_ai_enrich": len(list(ai_rows(SMALL))),
    "feature_store.device_image_features_unified_v1": len(list(image_rows(SMALL))),
}


def committed_rows(database: str) -> int | None:
    """Return the listing rows that another session sees, None where there is no table."""
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT to_regclass('\"iPhone\".iphone_listings')").fetchone()
        if found == (None,):
            return None
        return int(one_value(connection, 'SELECT count(*) FROM "iPhone".iphone_listings'))


def test_tables_have_the_declared_columns_and_types(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.execute(SOURCES_SQL.read_text(encoding="utf-8"))
        for (schema, table), declared in COLUMN_TYPES.items():
            live = connection.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND attnum > 0 "
                "ORDER BY attnum",
                (schema, table),
            ).fetchall()
            assert live == list(declared.items())


def test_creating_the_tables_twice_changes_nothing(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        tables = []
        for _ in range(2):
            connection.execute(SOURCES_SQL.read_text(encoding="utf-8"))
            tables.append(
                connection.execute(
                    "SELECT oid, relname, relfilenode, xmin::text FROM pg_class "
                    "WHERE relnamespace::regnamespace::text IN ('\"iPhone\"', 'feature_store') "
                    "ORDER BY oid"
                ).fetchall()
            )
    assert tables[0] == tables[1]
    assert len(tables[0]) >= len(COLUMN_TYPES)


def test_rows_arrive_exactly_as_generated(empty_database: str) -> None:
    with psycopg.connect(empty_database, options="-c TimeZone=Asia/Tokyo") as connection:
        assert load_sample(connection, SMALL) == EXPECTED
        listings = connection.execute('SELECT * FROM "iPhone".iphone_listings').fetchall()
        ai = connection.execute('SELECT * FROM "iPhone".iphone_ai_enrich').fetchall()
        images = connection.execute(
            "SELECT * FROM feature_store.device_image_features_unified_v1"
        ).fetchall()
    assert listings == list(listing_rows(SMALL))
    assert list(map(repr, map(comparable, ai))) == list(map(repr, map(comparable, ai_rows(SMALL))))
    assert images == list(image_rows(SMALL))


def comparable(row: tuple[object, ...]) -> tuple[object, ...]:
    """Return an AI row whose time compares by its instant: NaN forbids comparing by value."""
    *values, updated_at = row
    return (*values, updated_at and updated_at.timestamp())  # type: ignore[attr-defined]


@pytest.mark.parametrize("autocommit", [True, False])
def test_rows_are_committed_on_return(empty_database: str, autocommit: bool) -> None:
    with psycopg.connect(empty_database, autocommit=autocommit) as connection:
        load_sample(connection, SMALL)
        assert committed_rows(empty_database) == EXPECTED["iPhone.iphone_listings"]


def test_rows_belong_to_the_callers_transaction_if_one_is_open(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.execute("SELECT 1")
        load_sample(connection, SMALL)
        assert committed_rows(empty_database) is None
        connection.rollback()
    assert committed_rows(empty_database) is None


def test_tables_are_analysed(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        load_sample(connection, SMALL)
        estimates = connection.execute(
            "SELECT reltuples::int FROM pg_class WHERE relname IN ('iphone_listings', "
            "'iphone_ai_enrich', 'device_image_features_unified_v1')"
        ).fetchall()
    assert sorted(estimates) == sorted((count,) for count in EXPECTED.values())


@pytest.mark.parametrize("table", COLUMN_TYPES)
def test_loading_into_tables_with_rows_is_refused_and_changes_nothing(
    empty_database: str, table: tuple[str, str]
) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        load_sample(connection, SMALL)
        for other in COLUMN_TYPES.keys() - {table}:
            connection.execute(
                psycopg.sql.SQL("TRUNCATE {}").format(psycopg.sql.Identifier(*other))
            )
        with pytest.raises(TablesNotEmptyError, match=f'"{table[0]}"."{table[1]}" already holds'):
            load_sample(connection, SMALL)
    kept = EXPECTED["iPhone.iphone_listings"] if table == LISTING_TABLE else 0
    assert committed_rows(empty_database) == kept


def test_csv_fills_the_listings_and_leaves_the_other_tables_empty(
    empty_database: str, tmp_path: Path
) -> None:
    path = tmp_path / "listings.csv"
    path.write_text("listing_id,edited_date\n1,2024-01-05\n1,2024-01-06\n")
    with psycopg.connect(empty_database) as connection:
        assert load_csv(connection, path) == {
            "iPhone.iphone_listings": 2,
            "iPhone.iphone_ai_enrich": 0,
            "feature_store.device_image_features_unified_v1": 0,
        }
    assert committed_rows(empty_database) == 2


def test_a_failed_csv_leaves_a_usable_connection_and_no_tables(
    empty_database: str, tmp_path: Path
) -> None:
    path = tmp_path / "listings.csv"
    path.write_text("listing_id,edited_date\n1,2024-01-05\nx,2024-01-06\n")
    with psycopg.connect(empty_database) as connection:
        with pytest.raises(CsvError, match="line 3, column listing_id"):
            load_csv(connection, path)
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert committed_rows(empty_database) is None
