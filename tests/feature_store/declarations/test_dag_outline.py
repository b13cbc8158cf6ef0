"""The store in outline: what the DAG's edges come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_store.declarations.dag_outline import Refresh, read_outlines, refreshed_before
from feature_store.declarations.store_definition import read_store
from feature_store.errors import BadInput
from feature_store.relation_name import Name

_SPAM = "sql/views/ml.spam_listings_v1.sql"


@pytest.fixture
def write(tmp_path: Path):
    """Write relations, each as ``folder__name`` and its text; returns the include folder."""

    def written(**texts: str) -> Path:
        for place, text in texts.items():
            folder, relation = place.split("__")
            path = tmp_path / "sql" / folder / f"ml.{relation}.sql"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return written


def _ml(*names: str) -> frozenset[Name]:
    return frozenset(Name("ml", name) for name in names)


def test_a_relation_reads_what_its_file_names_outside_comments_and_strings(write):
    outlines = read_outlines(
        write(
            base__a="SELECT 1", base__b="SELECT 1", base__c="SELECT 1", base__d="SELECT 1",
            read__e="-- not ml.b\nSELECT a.x, 'it''s not ml.c' FROM ml.a AS a /* nor\nml.d */",
        )
    )  # fmt: skip
    assert outlines[Name("ml", "e")].reads == _ml("a")
    assert outlines[Name("ml", "e")].refresh is Refresh.CONCURRENT


def test_quoted_names_and_columns_of_three_parts_count_and_capitals_only_in_quotes(write):
    outlines = read_outlines(
        write(
            base__a="SELECT 1", base__b="SELECT 1", base__c="SELECT 1",
            read__e='SELECT Ml.b.x FROM "ml"."a", ML.B, ml."C"',
        )
    )  # fmt: skip
    assert outlines[Name("ml", "e")].reads == _ml("a", "b")


def test_neither_a_source_nor_itself_is_something_that_it_reads(write):
    outlines = read_outlines(write(base__a='CREATE … ml.a AS SELECT 1 FROM "iPhone".listings'))
    assert outlines[Name("ml", "a")].reads == frozenset()


def test_the_header_is_its_page(write):
    header = "-- Relation:   ml.a (A)\n-- Never sees: later\n--   days\nSELECT 1"
    outlines = read_outlines(write(base__a=header))
    assert outlines[Name("ml", "a")].header == {"Relation": "ml.a (A)", "Never sees": "later days"}


def test_a_plain_view_stands_for_what_it_reads(write):
    outlines = read_outlines(
        write(base__a="SELECT 1", views__v="FROM ml.a", views__w="FROM ml.v", read__e="FROM ml.w")
    )
    assert refreshed_before(Name("ml", "e"), outlines) == _ml("a")


def test_views_that_read_each_other_do_not_hang_the_dag(write):
    outlines = read_outlines(write(views__v="FROM ml.w", views__w="FROM ml.v", read__e="FROM ml.w"))
    assert refreshed_before(Name("ml", "e"), outlines) == frozenset()


@pytest.mark.parametrize("name", ["no_schema.sql", "ml.a.b.sql"])
def test_a_file_that_is_not_called_by_a_relations_name_is_refused(tmp_path, name):
    path = tmp_path / "sql" / "base" / name
    path.parent.mkdir(parents=True)
    path.write_text("SELECT 1")
    with pytest.raises(BadInput, match=name):
        read_outlines(tmp_path)


def test_the_parser_sees_in_every_file_what_the_outline_sees(settings, store_files):
    outlines = read_outlines(settings.include_dir)
    ours = {relation.name for relation in store_files.relations}
    assert {n: o.reads for n, o in outlines.items()} == {
        relation.name: relation.reads & ours for relation in store_files.relations
    }


def test_a_file_that_names_a_relation_without_reading_it_is_refused(include):
    """The DAG would wait for a relation that is not read."""
    include.edit(_SPAM, "l.listing_id\n", "l.listing_id,\n    ml.sold_durations_v1_mv AS odd\n")
    with pytest.raises(BadInput, match=r"names ml\.sold_durations_v1_mv without reading it"):
        read_store(include.directory)


def test_a_file_that_reads_what_the_outline_cannot_see_is_refused(include):
    """The DAG would not wait for a relation that is read."""
    include.edit(_SPAM, "l.listing_id\n", "l.listing_id, E'\\'' AS an_escaped_quote\n")
    with pytest.raises(BadInput, match=r"reads ml\.spam_token_v1 in a way that the DAG cannot see"):
        read_store(include.directory)
