"""What the headers of ``include/sql/history`` say, and headers that cannot be used."""

from __future__ import annotations

import pytest

from feature_store.declarations.history_series import read_history
from feature_store.declarations.store_definition import read_store
from feature_store.errors import BadInput
from tests.conftest import ROOT

_FILE = "sql/history/ml.ask_daily_median_v1.sql"
_KEY = "-- Key:        generation, storage_gb"
_SELECTED = "    a.generation,\n    a.storage_gb,\n"
_BIKES = ROOT / "examples/bike_stations"


@pytest.fixture
def keyed(include):
    """The key of a layer whose header says this, of a query that gives these columns."""

    def of(words, selected=_SELECTED):
        path = include.edit(_FILE, _KEY, f"-- Key: {words}")
        include.edit(_FILE, _SELECTED, selected)
        (layer,) = (
            one
            for one in read_history(include.directory, include.store)
            if one.relation == "ml.ask_daily_median_v1"
        )
        return layer.key, path

    return of


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("generation, storage_gb", ("generation", "storage_gb")),
        ("generation storage_gb", ("generation", "storage_gb")),
        ("none", ()),
        ("none, several equal rows are legal", ()),
        ("none: rows come and go", ()),
    ],
)
def test_a_key_is_columns_with_commas_or_none(keyed, words, key):
    assert keyed(words)[0] == key


@pytest.mark.parametrize("name", ["Visit Key", "nonetheless", "none given"])
def test_a_key_may_be_any_column_of_the_query(keyed, name):
    selected = f'    a.generation AS "{name}",\n    a.storage_gb,\n'
    assert keyed(f"{name}, storage_gb", selected)[0] == (name, "storage_gb")


def test_a_key_that_the_query_does_not_give_is_refused_with_its_file(keyed, include):
    with pytest.raises(BadInput) as caught:
        keyed("generation, Visit Key")
    path = include.directory / _FILE
    assert caught.value.problem == f"{path}: Key: the query gives no column Visit Key."
    assert "with commas between them" in caught.value.next_step


def test_the_keys_as_shipped(store_files, settings):
    keys = {one.name: one.key for one in read_history(settings.include_dir, store_files)}
    assert keys["E"] == ("listing_id",)
    assert sum(not key for key in keys.values()) == 3
    bikes = {one.key for one in read_history(_BIKES, read_store(_BIKES))}
    assert bikes == {("station_id",), ("count_id",)}
