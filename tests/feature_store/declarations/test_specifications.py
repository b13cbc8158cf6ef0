"""Specifications: what a file may say."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from feature_store.declarations.spam import read_spam
from feature_store.declarations.specifications import read_specifications
from feature_store.declarations.store_definition import read_store
from feature_store.declarations.whole_folder import check_declarations
from feature_store.errors import BadInput, NotReady
from feature_store.proof.fit import specification_problems
from feature_store.relation_name import Name
from feature_store.schema.apply import apply
from feature_store.schema.readiness import check_ready
from tests.relations import D3 as _D3
from tests.relations import A as _A

_BIKES = Path(__file__).resolve().parents[3] / "examples" / "bike_stations"
_HEADER = (
    "-- Specification: some rows\n-- Relation:      ml.x (X)\n-- Key:           day, color\n"
    "-- Route:         another\n"
)


@pytest.fixture
def bikes(tmp_path):
    """A copy of the example's folder."""
    return shutil.copytree(_BIKES, tmp_path / "bikes")


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


def test_the_words_that_mark_spam_are_a_part_of_it(include):
    """So a relation is refreshed and proven again once one of these words changes."""
    relation = Name("ml", "tom_features_v1_enriched_clean_mv")

    def read() -> Any:
        return read_specifications(include.directory / "sql", read_spam(include.directory))[
            relation
        ]

    before = read()
    include.edit("spam.toml", '"wtb"', '"it\'s"')
    assert "'wtb'" in before.query
    assert "'it''s'" in read().query
    assert read().digest != before.digest


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("-- Route:         another\n", ""), "must begin with the comment lines"),
        (("ml.x (X)", "ml.y"), "specifies ml.y; expected ml.x"),
        (("SELECT 1", "SELECT 1; SELECT 2"), "must be one statement"),
        (("SELECT 1", "DELETE FROM ml.y"), "must be one query"),
        (("SELECT 1", "SELECT * FROM ml.x"), "ml.x reads itself"),
        (("SELECT 1", "-- Tolerance: share within much\nSELECT 1"), "the tolerance is"),
        (("SELECT 1", "-- Tolerance: share within 1e-0\nSELECT 1"), "a share of at most 1e-06"),
        (("SELECT 1", "-- Tolerance: share within 1e-1\nSELECT 1"), "a share of at most 1e-06"),
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
        ("l.listing_id,\n", "l.listing_id AS id,\n", "names listing_id, which its query does not"),
        ("l.listing_id,\n", "l.nothing,\n", "cannot be run: column l.nothing does not exist"),
    ],
)
def test_one_that_does_not_give_its_relations_columns_stops_the_run(
    store_db, include, old, new, words
):
    include.edit(f"sql/specifications/{_A}.sql", old, new)
    with pytest.raises((BadInput, NotReady)):  # some of it shows in the text already
        check_ready(store_db.connection, include.store, include.settings)
    problems = specification_problems(store_db.connection, include.store)
    assert any(words in problem for problem in problems)


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


_LOAD, _CLEAN = "bikes.morning_load_v1", "bikes.morning_features_clean_mv"
_VIEW = """\
-- Relation:   bikes.other_v1
-- Grain:      one row per count_id
-- As-of:      counted_at (t0)
-- Never sees: a flagged count
-- Refresh:    none
CREATE VIEW bikes.other_v1 AS
SELECT l.count_id FROM {} AS l;
"""
_OTHER = """\
-- Specification: the ids of another
-- Relation:      bikes.other_v1
-- Key:           count_id
-- Route:         another relation
SELECT l.count_id FROM {} AS l
"""


@pytest.mark.parametrize(
    ("file", "specification", "load", "refused"),
    [
        # What its file does not read is welcome, if that does not rest on it.
        ("bikes.mornings_mv", _LOAD, None, False),
        (_LOAD, _CLEAN, "bikes.other_v1", True),
        (_CLEAN, _LOAD, "bikes.other_v1", True),
    ],
    ids=["not below it", "above it", "in a circle"],
)
def test_one_rests_on_nothing_that_rests_on_its_relation(bikes, file, specification, load, refused):
    (bikes / "sql/views/bikes.other_v1.sql").write_text(_VIEW.format(file))
    (bikes / "sql/specifications/bikes.other_v1.sql").write_text(_OTHER.format(specification))
    if load:
        path = bikes / f"sql/specifications/{_LOAD}.sql"
        text = path.read_text()
        path.write_text(text.replace("\nFROM ", f"\nFROM {load} AS o CROSS JOIN ", 1))
    store = read_store(bikes)
    if not refused:
        check_declarations(bikes, store)
        return
    with pytest.raises(BadInput, match=r"reads bikes\.other_v1, whose file or specification reads"):
        check_declarations(bikes, store)


def test_a_plain_view_that_a_contract_is_bound_to_needs_one(bikes):
    (bikes / f"sql/specifications/{_LOAD}.sql").unlink()
    with pytest.raises(BadInput, match=rf"{_LOAD} has no specification, so no run could prove"):
        check_declarations(bikes, read_store(bikes))


def test_another_plain_view_may_do_without(bikes):
    (bikes / "sql/views/bikes.other_v1.sql").write_text(_VIEW.format(_CLEAN))
    check_declarations(bikes, read_store(bikes))


def test_a_relation_that_is_refreshed_and_has_none_is_refused(store_db, include):
    (include.directory / "sql" / "specifications" / f"{_A}.sql").unlink()
    with pytest.raises(BadInput, match=f"{_A} has no specification"):
        check_ready(store_db.connection, read_store(include.directory), include.settings)


def test_a_specification_of_no_relation_is_refused(include):
    folder = include.directory / "sql" / "specifications"
    text = (folder / f"{_D3}.sql").read_text()
    (folder / "ml.typo.sql").write_text(text.replace(_D3, "ml.typo"))
    with pytest.raises(BadInput, match=r"is named after ml\.typo, which no file defines"):
        read_store(include.directory)
