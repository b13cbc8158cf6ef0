"""Lost rows: a refresh that would leave far fewer rows than were certified takes no effect."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from feature_store.declarations.expectations import read_thresholds
from feature_store.errors import BadInput, RowsLost, passes_on_its_own
from feature_store.refresh.lost_rows import check_sources, guard_of, read_limits
from feature_store.refresh.refresh import refresh
from tests.feature_store.refresh.certified import CertifiedNights
from tests.relations import E_AI, E_CLEAN, A

LISTINGS = '"iPhone".iphone_listings'
AI = '"iPhone".iphone_ai_enrich'


class Nights(CertifiedNights):
    """Nights of real refreshes, which look for lost rows."""

    def __init__(self, database: Any, store: Any, settings: Any) -> None:
        super().__init__(database, store, settings)
        self.settings = settings

    def load(self, listings: int) -> None:
        self.database.run(
            f"TRUNCATE {LISTINGS}, {AI}",
            f"INSERT INTO {LISTINGS} (listing_id, generation, storage_gb, price, edited_date) "
            f"SELECT i, 15, 128, 5000, '2026-01-01' FROM generate_series(1, {listings}) AS i",
            f"INSERT INTO {AI} (listing_id, can_ship) "
            f"SELECT i, TRUE FROM generate_series(1, {listings}) AS i",
        )

    def night(self, run_id: str, *, accepted: bool = False, certified: bool = True) -> None:
        lease = self.begin(run_id)
        for relation in self.store.refreshed:
            self.refresh_one(str(relation.name), lease, accepted=accepted)
        if certified:
            self.checked(lease)
            self.certify(lease)

    def refresh_one(self, name: str, lease: Any = None, *, accepted: bool = False) -> None:
        relation = self.store.find(name)
        guard = guard_of(self.store, relation, self.limits(accepted=accepted))
        connection = self.database.connection
        refresh(connection, relation, lease or self.begin("tonight"), "UTC", guard)

    def limits(self, *, accepted: bool = False) -> Any:
        return read_limits(self.settings.include_dir, accepted=accepted)

    def check_sources(self, *, accepted: bool = False) -> None:
        limits = self.limits(accepted=accepted)
        check_sources(self.database.connection, self.store, limits)

    def count(self, relation: str) -> int:
        ((n,),) = self.database.rows(f"SELECT count(*) FROM {relation}")
        return n


@pytest.fixture
def nights(store_db, store_files, settings) -> Nights:
    """A store over 200 listings, refreshed and certified once."""
    made = Nights(store_db, store_files, settings)
    made.load(200)
    made.night("yesterday")
    return made


def test_a_stores_own_witness_may_tell_the_rows_of_something(nights):
    """By default a witness tells the rows of the newest day."""
    nights.database.run(
        "UPDATE feature_store_audit.fact SET fact = 'rows of the newest day' "
        "WHERE fact = 'listings of the newest day'"
    )
    nights.check_sources()
    nights.night("tonight")
    nights.database.run(f"TRUNCATE {LISTINGS}")
    with pytest.raises(RowsLost):
        nights.check_sources()


def test_an_emptied_source_leaves_every_layer_its_rows(nights):
    nights.database.run(f"TRUNCATE {LISTINGS}")
    records = nights.count("feature_store_audit.refresh")

    with pytest.raises(RowsLost) as caught:
        nights.refresh_one(A)

    assert not passes_on_its_own(caught.value)
    assert caught.value.problem == (
        f"{A} was not refreshed, because sources have lost certified rows:\n"
        "  - iPhone.iphone_listings has 0 rows, 100% fewer than the 200 of run yesterday"
    )
    assert caught.value.readers.startswith("the rows of the refresh of 20")
    assert caught.value.next_step.endswith(
        "airflow dags trigger feature_store_refresh --conf '{\"accept_shrink\": true}'"
    )
    assert nights.count(A) == 200
    assert nights.count("feature_store_audit.refresh") == records


def test_an_ai_table_without_rows_is_refused_although_the_layer_would_lose_none(nights):
    nights.database.run(f"TRUNCATE {AI}")
    with pytest.raises(RowsLost, match=r"iPhone\.iphone_ai_enrich has 0 rows"):
        nights.refresh_one(E_AI)
    assert nights.count(f"{E_AI} WHERE ai_can_ship_bin = 1") == 200


@pytest.mark.parametrize(("left", "refused"), [(100, True), (119, True), (120, False)])
def test_more_than_the_threshold_may_not_go(nights, left, refused):
    nights.load(left)
    if refused:
        with pytest.raises(RowsLost):
            nights.refresh_one(A)
    else:
        nights.refresh_one(A)
    assert nights.count(A) == (200 if refused else left)


def test_a_layer_that_loses_rows_though_its_sources_do_not_is_refused(nights):
    nights.database.run(f"UPDATE {LISTINGS} SET spam = 'wtb' WHERE listing_id > 20")
    records = nights.count("feature_store_audit.refresh")

    with pytest.raises(RowsLost) as caught:
        nights.refresh_one(E_CLEAN)

    assert caught.value.problem == (
        f"{E_CLEAN} was not refreshed, because it would lose certified rows:\n"
        f"  - {E_CLEAN} has 20 rows, 90% fewer than the 200 of run yesterday"
    )
    assert nights.count(E_CLEAN) == 200
    assert nights.count("feature_store_audit.refresh") == records


def test_of_a_few_rows_all_may_go(store_db, store_files, settings):
    nights = Nights(store_db, store_files, settings)
    nights.load(99)
    nights.night("yesterday")
    nights.load(1)
    nights.check_sources()
    nights.refresh_one(A)
    assert nights.count(A) == 1


def test_a_loss_that_is_meant_is_told_and_what_is_certified_then_is_the_measure(nights, caplog):
    nights.load(110)
    with caplog.at_level(logging.WARNING, "feature_store.refresh.lost_rows"):
        nights.check_sources(accepted=True)
        nights.night("tonight", accepted=True)
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    told_loss = "iPhone.iphone_listings has 110 rows, 45% fewer than the 200 of run yesterday."
    assert f"Accepted, because this run has accept_shrink: {told_loss}" in told

    nights.check_sources()
    nights.refresh_one(A)


def test_what_was_refreshed_and_not_certified_is_no_measure(nights):
    nights.load(130)
    nights.night("tonight", certified=False)
    nights.load(110)
    with pytest.raises(RowsLost, match="fewer than the 200 of run yesterday"):
        nights.refresh_one(A)


def test_a_source_that_lost_rows_stops_a_run_before_any_work(nights):
    nights.database.run(f"DELETE FROM {AI} WHERE listing_id <= 100")
    with pytest.raises(RowsLost) as caught:
        nights.check_sources()
    assert caught.value.problem == (
        "Nothing was refreshed, because sources have lost certified rows:\n"
        "  - iPhone.iphone_ai_enrich has 100 rows, 50% fewer than the 200 of run yesterday"
    )
    assert caught.value.readers == "the rows of the last refresh; nothing was changed."


def test_a_source_that_is_loaded_just_then_is_left_to_the_refreshes(nights):
    with nights.database.session() as other, other.transaction():
        other.execute(f"TRUNCATE {LISTINGS}")
        nights.check_sources()
    with pytest.raises(RowsLost):
        nights.check_sources()


def test_a_refresh_is_held_to_the_sources_below_its_plain_views(store_files, settings):
    limits = read_limits(settings.include_dir, accepted=False)
    found = {
        str(r.name): [str(source) for source in guard_of(store_files, r, limits).sources]
        for r in store_files.refreshed
    }
    assert found[E_CLEAN] == ["iPhone.iphone_listings"]
    assert found["feature_store.device_count_day_v1_mv"] == [
        "feature_store.device_image_features_unified_v1"
    ]
    assert found["ml.tom_features_v1_enriched_mv"] == []


def test_thresholds_without_those_of_the_guard_are_refused(include):
    include.edit("thresholds.toml", "most_rows_lost = 0.4", "")
    with pytest.raises(BadInput, match=r"thresholds.toml lacks most_rows_lost\."):
        read_thresholds(include.directory)
