"""Profiles: what is kept of each feature's values, and what happens when none can be taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.feature_sets import logged_sets
from feature_store.declarations.served import Column
from feature_store.relation_name import Name
from feature_store.validation import profile_query
from feature_store.validation.profile import record_profile
from feature_store.validation.profile_parts import Bins, together
from feature_store.validation.suite_record import begin_suite
from tests.feature_store.conftest import Database
from tests.feature_store.refresh.certified import CertifiedNights
from tests.relations import E_AI as _E_AI

_TOM, _DEVICE = "tom_features_v1", "iphone_device_meta_encoded_v2_model"
_ODD = "ml.odd.edited_date"
_AUDIT = "feature_store_audit"


@pytest.fixture(scope="module")
def certified(server, filled_template, store_files, settings):
    """The name of a database to copy: a store with one certified and profiled night."""
    database = Database(server.create_database("profiled", filled_template), settings)
    database.run(
        "UPDATE \"iPhone\".iphone_listings SET edited_date = edited_date - interval '1 month' "
        "WHERE listing_id % 2 = 0"
    )
    nights = CertifiedNights(database, store_files, settings)
    lease = nights.begin("monday")
    nights.refresh(lease)
    nights.checked(lease, "uniqueness", "spam_absence")
    event = _profile(nights, settings, lease)
    database.run(
        f"INSERT INTO {_AUDIT}.expectation_log (suite_event, expectation, relation, severity, "
        f"outcome, expected, observed, sample, seconds) VALUES ({event}, 'x', 'ml.x', 'critical', "
        "'met', 'x', 'x', '[]', 0)"
    )
    nights.certify(lease)
    database.close()
    yield "profiled"
    server.drop_database("profiled")


@pytest.fixture
def nights(server, certified, store_files, settings):
    database = Database(server.create_database("profile", certified), settings)
    yield CertifiedNights(database, store_files, settings)
    database.close()
    server.drop_database("profile")


def _profile(nights, settings, lease, most_seconds=60.0):
    event = begin_suite(nights.database.connection, lease, "as_of_counts")
    for feature_set in logged_sets(settings.include_dir).values():
        record_profile(
            nights.database.connection, lease, feature_set, event, 50, most_seconds=most_seconds
        )
    return event


def profile(nights, settings, run_id="tuesday", **limits):
    """The next night's profiles, by feature of the model's set."""
    _profile(nights, settings, nights.begin(run_id), **limits)
    columns = "feature, row_count, null_count, zero_count, distinct_count, least, most, mean, "
    columns += "deviation, quantiles, counts, edges, levels, drift_month, usual_drift, drift_stamp"
    return {
        row[0]: dict(zip(columns.split(", ")[1:], row[1:], strict=True))
        for row in nights.database.rows(
            f"SELECT {columns} FROM {_AUDIT}.feature_profile "
            f"WHERE run_id = '{run_id}' AND feature_set = '{_TOM}'"
        )
    }


def warned(nights, settings, name):
    (expectation,) = (
        e
        for e in read_expectations(settings.include_dir, nights.store, "as_of_counts")
        if e.name == name
    )
    assert expectation.severity == "warning"
    return nights.database.rows(expectation.query.replace(">= 500.0", ">= 50"))


def test_a_profile_says_what_all_rows_say(nights, settings):
    found = profile(nights, settings)["price"]
    wanted = nights.database.rows(
        "SELECT count(*), count(*) - count(price), count(*) FILTER (WHERE price = 0), "
        "count(DISTINCT price), min(price), max(price), avg(price::float8), "
        "stddev_samp(price::float8), "
        "percentile_disc('{.01,.05,.1,.25,.5,.75,.9,.95,.99}'::float8[]) "
        f"WITHIN GROUP (ORDER BY price::float8) FROM {_E_AI}"
    )[0]
    *kept, quantiles = list(found.values())[: len(wanted)]
    assert kept == pytest.approx(list(wanted[:-1]), rel=1e-12)
    assert quantiles == wanted[-1]
    edges = found["edges"]
    for bin_, (low, high) in enumerate(zip([None, *edges], [*edges, None], strict=True)):
        assert found["counts"][bin_] == nights.database.value(
            f"SELECT count(price) FROM {_E_AI} WHERE price >= coalesce({low or 'NULL'}, price) "
            f"AND price < coalesce({high or 'NULL'}, price + 1)"
        )


def test_zeros_are_counted_whether_or_not_they_have_a_bin_of_their_own(nights, settings):
    found = profile(nights, settings)
    assert found["damage_binary_ai"]["edges"][:2] == [0, 1]
    for feature in ("damage_binary_ai", "damage_severity_ai", "anchor_14d_n", "ai_urgency_f"):
        assert found[feature]["zero_count"] == nights.database.value(
            f"SELECT count(*) FROM {_E_AI} WHERE {feature} = 0"
        )


def test_months_of_t0_add_up_to_the_whole_and_texts_have_levels_that_many_rows_share(
    nights, settings
):
    found = profile(nights, settings)
    months = nights.database.rows(
        f"SELECT month::text, row_count, null_count, counts FROM {_AUDIT}.feature_month_log "
        f"WHERE feature = 'location_city' AND suite_event = "
        f"(SELECT max(suite_event) FROM {_AUDIT}.profile_log) ORDER BY month"
    )
    by_sql = nights.database.rows(
        "SELECT date_trunc('month', edited_date)::date::text, count(*), "
        f"count(*) - count(location_city) FROM {_E_AI} GROUP BY 1 ORDER BY 1"
    )
    assert [row[:3] for row in months] == by_sql
    whole = found["location_city"]
    assert [sum(n) for n in zip(*(row[3] for row in months), strict=True)] == whole["counts"]
    for level, n in zip(whole["levels"], whole["counts"], strict=False):
        assert n >= 10
        assert n == nights.database.value(
            f"SELECT count(*) FROM {_E_AI} WHERE location_city = '{level}'"
        )
    assert whole["mean"] is whole["quantiles"] is whole["zero_count"] is None


def test_on_an_ordinary_night_nothing_has_drifted(nights, settings):
    found = profile(nights, settings)
    assert {f["drift_stamp"] for f in found.values()} == {0}
    assert found["price"]["drift_month"] < 0.35
    assert warned(nights, settings, "no_feature_has_drifted") == []


def test_a_feature_that_is_another_than_at_the_stamp_is_a_warning(nights, settings):
    nights.database.run('UPDATE "iPhone".iphone_listings SET price = price * 10')
    nights.refresh(nights.begin("tuesday"))
    assert profile(nights, settings)["price"]["drift_stamp"] > 0.9
    told = warned(nights, settings, "no_feature_has_drifted")
    assert (_TOM, "price", "all rows against those of the stamp") in {row[:3] for row in told}


def test_a_month_is_a_warning_only_beyond_what_is_usual(nights, settings):
    profile(nights, settings)
    change = f"UPDATE {_AUDIT}.feature_profile_log SET drift_month = 0.5"
    for usual, is_told in (("NULL", False), ("0.3", False), ("0.2", True)):
        nights.database.run(f"{change}, usual_drift = {usual} WHERE feature = 'price'")
        assert bool(warned(nights, settings, "no_feature_has_drifted")) is is_told


def test_a_profile_that_takes_too_long_fails_nothing_and_is_told(nights, settings):
    assert profile(nights, settings, most_seconds=0.001) == {}
    told = warned(nights, settings, "every_feature_set_was_profiled")
    assert [row[0] for row in told] == [_DEVICE, _TOM]
    assert "statement timeout" in told[0][1]
    nulls = f"SELECT count(*) FROM {_AUDIT}.feature_nulls WHERE run_id = 'tuesday'"
    assert nights.database.value(nulls) == 51 + 61
    assert profile(nights, settings) != {}
    assert warned(nights, settings, "every_feature_set_was_profiled") == []


def test_values_that_are_no_numbers_or_beyond_all_measure_stop_nothing(nights, settings):
    values = "('NaN'), ('Infinity'), ('-Infinity'), ('1e200'), ('0'), ('3'), (NULL)"
    nights.database.run(
        "CREATE TABLE ml.odd AS SELECT row_number() OVER () AS listing_id, "
        "CASE WHEN v = '3' THEN 'infinity' ELSE '2026-06-01'::timestamptz END AS edited_date, "
        f"v::numeric AS as_numeric, v::float8 AS as_float FROM (VALUES {values}) AS x (v)"
    )
    (odd, *_) = logged_sets(settings.include_dir).values()
    assert odd.served is not None
    odd = replace(
        odd, relation=Name("ml", "odd"), served=replace(odd.served, t0=Column.parse(f"{_ODD}"))
    )
    for name, type_name in (("as_numeric", "numeric"), ("as_float", "double precision")):
        column = profile_query.Column(name, type_name)
        connection = nights.database.connection
        assert odd.served is not None
        _, rows, told = profile_query.sample(connection, odd, odd.served, [column])
        bins = {name: Bins((0.0, 3.0))}
        months = profile_query.months(connection, odd, odd.served, [column], bins)
        whole = together(parts[name] for parts in months.values())
        assert set(months) == {None, date(2026, 6, 1)}
        assert (rows, told[name].distinct) == (7, 5)
        assert (whole.filled, whole.counts, whole.measured) == (5, (1, 1, 3), 2)
        assert (whole.mean, whole.zeros) == (1.5, 1)


@pytest.mark.parametrize(("type_name", "bits"), [("smallint", 15), ("integer", 31), ("bigint", 63)])
def test_the_least_and_the_largest_whole_numbers_have_a_profile(
    nights, settings, type_name: str, bits: int
):
    values = f"('-{2**bits}'), ('0'), ('{2**bits - 1}')"
    nights.database.run(
        "CREATE TABLE ml.odd AS SELECT 1 AS listing_id, '2026-06-01'::timestamptz AS edited_date, "
        f"v::{type_name} AS whole FROM (VALUES {values}) AS x (v)"
    )
    (odd, *_) = logged_sets(settings.include_dir).values()
    assert odd.served is not None
    served = replace(odd.served, t0=Column.parse(_ODD))
    odd = replace(odd, relation=Name("ml", "odd"), served=served)
    columns = [profile_query.Column("whole", type_name)]
    _, _, told = profile_query.sample(nights.database.connection, odd, served, columns)
    cuts = told["whole"].cuts
    assert (cuts[0], cuts[-1]) == (-(2.0**bits), float(2**bits - 1))
    (parts,) = profile_query.months(
        nights.database.connection, odd, served, columns, {"whole": Bins(cuts)}
    ).values()
    assert (parts["whole"].filled, parts["whole"].counts) == (3, (0, 1, 1, 1))


def test_more_features_than_one_query_can_ask_of_are_asked_in_two(nights, settings):
    names = [f"c{n}" for n in range(205)]
    nights.database.run(
        "CREATE TABLE ml.odd AS SELECT 1 AS listing_id, '2026-06-01'::timestamptz AS edited_date, "
        + ", ".join(f"{n} AS c{n}" for n in range(205))
    )
    (wide, *_) = logged_sets(settings.include_dir).values()
    assert wide.served is not None
    served = replace(wide.served, t0=Column.parse(_ODD))
    wide = replace(wide, relation=Name("ml", "odd"), served=served)
    columns = [profile_query.Column(name, "integer") for name in names]
    bins = dict.fromkeys(names, Bins((7.0,)))
    (parts,) = profile_query.months(
        nights.database.connection, wide, served, columns, bins
    ).values()
    assert [parts[name].least for name in names] == list(range(205))


def test_months_are_kept_of_the_newest_profile_and_of_the_last_certified_run(nights, settings):
    runs = f"SELECT DISTINCT run_id FROM {_AUDIT}.feature_month_log AS m "
    runs += f"INNER JOIN {_AUDIT}.suite_log AS s ON m.suite_event = s.event_id ORDER BY 1"
    profile(nights, settings)
    profile(nights, settings, "wednesday")
    assert nights.database.rows(runs) == [("monday",), ("wednesday",)]
    assert nights.database.value(f"SELECT count(*) FROM {_AUDIT}.profile_log") == 3 * 2
    nights.database.run(
        f"DELETE FROM {_AUDIT}.suite_log WHERE run_id <> 'monday'"
    )  # as forget does
    assert nights.database.value(f"SELECT count(*) FROM {_AUDIT}.feature_profile_log") == 112
    assert nights.database.rows(runs) == [("monday",)]


def test_bins_hold_while_the_stamp_does_and_those_of_a_failed_run_do_not(nights, settings):
    made = f"SELECT count(DISTINCT suite_event) FROM {_AUDIT}.feature_bins_log"
    profile(nights, settings)
    assert nights.database.value(made) == 1
    nights.database.run(f"UPDATE {_AUDIT}.verdict_log SET verdict = 'failed'")
    found = profile(nights, settings, "wednesday")
    assert nights.database.value(made) == 2
    assert found["price"]["drift_stamp"] == 0
    assert found["price"]["drift_month"] is None  # monday's had other bins


def test_a_set_that_is_not_stamped_has_its_rows_without_a_value_counted(nights, settings):
    nights.database.run(f"UPDATE ml.feature_set SET features_hash = NULL WHERE name = '{_TOM}'")
    assert profile(nights, settings) == {}
    nulls = f"SELECT count(*) FROM {_AUDIT}.feature_nulls WHERE feature_set = '{_TOM}'"
    assert nights.database.value(f"{nulls} AND run_id = 'tuesday'") == 51
