"""Skew: the share of served values that history now tells otherwise, by feature and age."""

from __future__ import annotations

import pytest

from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.feature_sets import logged_sets
from feature_store.reporting.served import latest_skew, skew_in_words, with_skew
from feature_store.validation.skew import record_skew
from feature_store.validation.suite_record import begin_suite
from tests.feature_store.conftest import Database
from tests.feature_store.refresh.certified import CertifiedNights

_TOM, _DEVICE = "tom_features_v1", "iphone_device_meta_encoded_v2_model"
_LOG = f"feature_log.{_TOM}"
_WARNING = "what_was_served_is_told_alike_today"


@pytest.fixture(scope="module")
def certified(server, filled_template, store_files, settings):
    """The name of a database to copy: a store with one certified night."""
    database = Database(server.create_database("skewed", filled_template), settings)
    nights = CertifiedNights(database, store_files, settings)
    lease = nights.begin("monday")
    nights.refresh(lease)
    nights.checked(lease)
    nights.certify(lease, _TOM, _DEVICE)
    database.close()
    yield "skewed"
    server.drop_database("skewed")


@pytest.fixture
def nights(server, certified, store_files, settings):
    database = Database(server.create_database("skew", certified), settings)
    yield CertifiedNights(database, store_files, settings)
    database.close()
    server.drop_database("skew")


def skew(nights, settings, days=90, day="2026-06-30"):
    """The skew that the next night finds, by set, feature and age."""
    lease = nights.begin("tuesday", day)
    event = begin_suite(nights.database.connection, lease, "as_of_counts")
    for feature_set in logged_sets(settings.include_dir).values():
        record_skew(nights.database.connection, lease, feature_set, event, days)
    found = latest_skew(nights.database.connection)
    return {(line.feature_set, line.feature, line.age): line for line in found}


def serve_otherwise(nights, change):
    """Change what the first night served, so that it differs from what the store says today."""
    nights.database.run(f"UPDATE {_LOG} SET {change}")


def test_where_nothing_moved_there_is_none_and_every_row_is_compared(nights, settings):
    found = skew(nights, settings)
    assert {line.differing for line in found.values()} == {0}
    rows = nights.database.value(f"SELECT count(*) FROM {_LOG} WHERE t0 IS NOT NULL")
    assert {line.compared for (*_, age), line in found.items() if age == "all"} == {rows}
    assert len({key[:2] for key in found}) == 51 + 61


def test_shares_and_typical_sizes_are_told_by_feature_and_age(nights, settings):
    serve_otherwise(nights, "price = coalesce(price, 0) + 7 WHERE t0 >= '2026-06-24'")
    serve_otherwise(nights, "location_city = 'x'")
    found = skew(nights, settings)
    young, old, whole = (
        found[_TOM, "price", age] for age in ("under 7 days", "7 to 29 days", "all")
    )
    assert young.compared == young.differing > 0 == old.differing
    assert whole.compared == young.compared + old.compared
    assert young.typical == whole.typical == 7
    assert old.typical is None
    assert found[_TOM, "location_city", "all"].share == 1
    assert found[_TOM, "location_city", "all"].typical is None
    assert found[_TOM, "title_length", "all"].differing == 0


def test_a_value_that_came_or_went_differs_and_has_no_size(nights, settings):
    serve_otherwise(nights, "price = NULL")
    found = skew(nights, settings)[_TOM, "price", "all"]
    assert (found.differing > 0.9 * found.compared, found.typical) == (True, None)


def test_what_is_no_number_and_what_is_beyond_all_measure_stops_nothing(nights, settings):
    serve_otherwise(
        nights,
        "battery_pct_fixed_ai = 2147483647, ai_urgency_f = 'NaN', ai_negotiability_f = '-Infinity'",
    )
    found = skew(nights, settings)
    assert found[_TOM, "ai_urgency_f", "all"].typical is None
    assert found[_TOM, "ai_negotiability_f", "all"].typical is None
    assert found[_TOM, "battery_pct_fixed_ai", "all"].typical > 2e9


def test_only_the_last_days_of_t0_are_compared(nights, settings):
    found = skew(nights, settings, days=5)[_TOM, "price", "all"]
    assert found.compared == nights.database.value(
        f"SELECT count(*) FROM {_LOG} WHERE t0 >= '2026-06-25' AND t0 < '2026-07-01'"
    )
    assert skew(nights, settings, day="2020-01-01")[_TOM, "price", "all"].compared == 0


def test_rows_of_before_a_feature_came_do_not_count_as_moved(nights, settings):
    nights.database.run(
        "UPDATE feature_store_audit.seal_log SET columns = array_remove(columns, 'price')"
    )
    found = skew(nights, settings)
    assert (_TOM, "price", "all") not in found
    assert (_TOM, "title_length", "all") in found


def test_what_left_is_counted_apart(nights, settings):
    nights.database.run(
        f"CREATE TEMPORARY TABLE one AS SELECT * FROM {_LOG} WHERE t0 IS NOT NULL LIMIT 1",
        "UPDATE one SET listing_id = -1",
        f"INSERT INTO {_LOG} SELECT * FROM one",
    )
    found = skew(nights, settings)[_TOM, "price", "all"]
    assert (found.gone, found.differing) == (1, 0)


def test_a_feature_that_moved_beyond_the_threshold_is_a_warning(nights, settings):
    serve_otherwise(nights, "price = price + 7")
    skew(nights, settings)
    (warning,) = (
        e
        for e in read_expectations(settings.include_dir, nights.store, "as_of_counts")
        if e.name == _WARNING
    )
    assert warning.severity == "warning"
    found = nights.database.rows(warning.query)
    assert [row[:2] for row in found] == [(_TOM, "price")]


def test_of_a_set_that_the_last_try_did_not_come_to_it_is_the_one_before(nights, settings):
    """As the page has it: the task ended between two sets."""
    skew(nights, settings)
    lease = nights.begin("wednesday", "2026-06-30")
    event = begin_suite(nights.database.connection, lease, "as_of_counts")
    record_skew(
        nights.database.connection, lease, logged_sets(settings.include_dir)[_TOM], event, 90
    )
    lines = latest_skew(nights.database.connection)
    assert {(line.feature_set, line.run_id) for line in lines} == {
        (_TOM, "wednesday"),
        (_DEVICE, "tuesday"),
    }
    words = skew_in_words(lines)
    assert words.index("run tuesday") < words.index(_DEVICE) < words.index("run wednesday")
    assert words.index("run wednesday") < words.index(_TOM)


def test_it_is_told_the_largest_first_and_beside_the_exceptions(nights, settings):
    serve_otherwise(nights, "ai_urgency_f = 3, price = CASE WHEN listing_id % 2 = 0 THEN 1 END")
    skew(nights, settings)
    lines = latest_skew(nights.database.connection)
    words = skew_in_words(lines)
    assert "Measured by run tuesday." in words
    assert "2 of 51 features moved." in words
    assert words.index("ai_urgency_f") < words.index("price")
    told = {e.id: with_skew(e, lines) for e in read_exceptions(settings.include_dir)}
    told_ai = told["ai-as-of-refresh"]
    assert "1 of its 25 features moved since they were served. ai_urgency_f" in told_ai
    assert "0 of its 5 features moved" in told["same-day-ask"]
