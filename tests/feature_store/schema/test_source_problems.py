"""What the database lacks of the source tables, or has otherwise."""

from __future__ import annotations

import pytest

from feature_store.declarations.source_tables import read_sources
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.source_problems import source_problems

_LISTINGS = '"iPhone".iphone_listings'


def test_the_sources_as_they_should_be_have_no_problem(scratch_sources, store_files):
    assert source_problems(scratch_sources.connection, store_files.sources) == []


def test_a_missing_source_table_is_named(scratch_sources, store_files):
    scratch_sources.run(f"ALTER TABLE {_LISTINGS} RENAME TO elsewhere")
    assert source_problems(scratch_sources.connection, store_files.sources) == [
        "The source table iPhone.iphone_listings is missing."
    ]


def test_all_sources_are_missing_from_an_empty_database(empty_db, store_files):
    problems = source_problems(empty_db.connection, store_files.sources)
    assert len(problems) == 3
    assert all(p.endswith("is missing.") for p in problems)


def test_a_table_of_the_same_name_in_small_letters_is_another_one(scratch_sources, store_files):
    scratch_sources.run('ALTER SCHEMA "iPhone" RENAME TO iphone')
    problems = source_problems(scratch_sources.connection, store_files.sources)
    assert "The source table iPhone.iphone_listings is missing." in problems


def test_every_missing_column_is_named(scratch_sources, store_files):
    scratch_sources.run(
        f"ALTER TABLE {_LISTINGS} DROP COLUMN spam, DROP COLUMN sold_price",
        'ALTER TABLE "iPhone".iphone_ai_enrich RENAME vat_invoice TO vat',
    )
    assert source_problems(scratch_sources.connection, store_files.sources) == [
        "The source column iPhone.iphone_listings.spam is missing.",
        "The source column iPhone.iphone_listings.sold_price is missing.",
        "The source column iPhone.iphone_ai_enrich.vat_invoice is missing.",
    ]


def test_a_wrong_type_family_is_named_with_what_is_expected(scratch_sources, store_files):
    scratch_sources.run(f"ALTER TABLE {_LISTINGS} ALTER COLUMN price TYPE numeric")
    assert source_problems(scratch_sources.connection, store_files.sources) == [
        "The source column iPhone.iphone_listings.price has the type numeric; "
        "expected one of bigint, integer, smallint.\n"
        'Next: ALTER TABLE "iPhone"."iphone_listings" ALTER COLUMN "price" TYPE …; or rename the '
        "table and create a "
        "view in its place that casts the column (docs/install.md, your own database)"
    ]


def test_a_view_that_casts_is_a_way_out_and_plan_says_what_it_costs(scratch_sources, include):
    columns = [name for (name,) in scratch_sources.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", _LISTINGS
    )]  # fmt: skip
    cast = ", ".join("price::integer AS price" if c == "price" else c for c in columns)
    scratch_sources.run(
        f"ALTER TABLE {_LISTINGS} ALTER COLUMN price TYPE numeric",
        f"ALTER TABLE {_LISTINGS} RENAME TO iphone_listings_raw",
        f'CREATE VIEW {_LISTINGS} AS SELECT {cast} FROM "iPhone".iphone_listings_raw',
    )
    assert source_problems(scratch_sources.connection, include.store.sources) == []
    plan = make_plan(scratch_sources.connection, include.store, include.directory)
    assert "Sources that are views: iPhone.iphone_listings. A run can tell" in str(plan)


@pytest.mark.parametrize(
    ("column", "type_name", "fits"),
    [
        ("price", "bigint", True),
        ("price", "smallint", True),
        ("price", "text", False),
        ("condition_score", "real", True),
        ("condition_score", "double precision", True),
        ("condition_score", "numeric(9, 2)", True),
        ("condition_score", "integer", True),
        ("condition_score", "text", False),
        ("model", "varchar(40)", True),
        ("model", "char(40)", False),
        ("edited_date", "timestamp(0)", True),
        ("edited_date", "date", False),
    ],
)
def test_a_type_of_the_family_is_enough(scratch_sources, store_files, column, type_name, fits):
    scratch_sources.run(
        f"ALTER TABLE {_LISTINGS} DROP COLUMN {column}",
        f"ALTER TABLE {_LISTINGS} ADD COLUMN {column} {type_name}",
    )
    problems = source_problems(scratch_sources.connection, store_files.sources)
    assert [column in p for p in problems] == ([] if fits else [True])


def test_a_source_may_be_a_view_and_may_have_more_columns(scratch_sources, store_files):
    scratch_sources.run(
        f"ALTER TABLE {_LISTINGS} RENAME TO elsewhere",
        f'CREATE VIEW {_LISTINGS} AS SELECT *, 1 AS more FROM "iPhone".elsewhere',
    )
    assert source_problems(scratch_sources.connection, store_files.sources) == []


def test_a_materialized_view_that_was_never_filled_is_named(scratch_sources, store_files):
    ai = '"iPhone"."iphone_ai_enrich"'
    scratch_sources.run(
        f"ALTER TABLE {ai} RENAME TO near",
        f'CREATE MATERIALIZED VIEW {ai} AS SELECT * FROM "iPhone".near WITH NO DATA',
    )
    (problem,) = source_problems(scratch_sources.connection, store_files.sources)
    assert problem == (
        "The source iPhone.iphone_ai_enrich is a materialized view that has never been filled.\n"
        f"Next: REFRESH MATERIALIZED VIEW {ai}"
    )
    scratch_sources.run(problem.partition("Next: ")[2])
    assert source_problems(scratch_sources.connection, store_files.sources) == []


def test_a_collation_that_takes_different_texts_as_equal_is_named(any_case, store_files):
    """With it a query takes Blue for blue, and so does its specification."""
    alter = f"ALTER TABLE {_LISTINGS} ALTER COLUMN location_city TYPE text COLLATE "
    any_case.execute(f"{alter} public.any_case")
    (problem,) = source_problems(any_case, store_files.sources)
    told, _, mend = problem.partition("\nNext: ")
    assert told == (
        "The source column iPhone.iphone_listings.location_city has the collation any_case, under "
        "which different texts are equal."
    )
    any_case.execute(mend.partition(";")[0])
    assert source_problems(any_case, store_files.sources) == []


def test_looking_at_the_sources_alters_nothing(scratch_sources, store_files):
    before = scratch_sources.snapshot()
    source_problems(scratch_sources.connection, store_files.sources)
    assert scratch_sources.snapshot() == before


def test_a_column_of_the_family_other_may_have_any_type(scratch_sources, tmp_path):
    scratch_sources.run("CREATE TABLE public.odd (x int[], d date, j jsonb, u uuid)")
    path = tmp_path / "sources.toml"
    path.write_text('["public.odd"]\nx = "other"\nd = "date"\nj = "json"\nu = "uuid"\n')
    assert source_problems(scratch_sources.connection, read_sources(path)) == []
    path.write_text('["public.odd"]\nx = "date"\n')
    (problem,) = source_problems(scratch_sources.connection, read_sources(path))
    assert "public.odd.x has the type integer[]; expected one of date." in problem
