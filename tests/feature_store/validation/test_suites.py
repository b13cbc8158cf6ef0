"""The suites: each breakage gives the one right verdict, and only what is broken is named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from feature_store.audit.runs import open_run
from feature_store.connection import Connection
from feature_store.declarations.expectations import Expectation
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.store_definition import Store
from feature_store.errors import (
    CannotConnect,
    CheckInterrupted,
    ExpectationsBroken,
    NotChecked,
)
from feature_store.proof.proving import NOTHING_TO_COMPARE
from feature_store.settings import Settings
from feature_store.validation.null_counts import record_nulls
from feature_store.validation.suite_record import begin_suite, record
from feature_store.validation.suite_result import sum_up
from feature_store.validation.suites import run_suite
from tests.feature_store.night import RUN, Night
from tests.relations import D1, D2, D3, E_AI, E_CLEAN, E_SPEED, F0, A, B, C, E

NAME = {r: r.partition(".")[2] for r in (E, E_CLEAN, E_SPEED, E_AI, F0)}
NO_SPAM = {f"no_spam_in_{NAME[r]}" for r in (E_CLEAN, E_SPEED, E_AI, F0)}
LISTINGS = '"iPhone".iphone_listings'
IMAGES = "feature_store.device_image_features_unified_v1"
SUITES = ("uniqueness", "spam_absence", "as_of_counts")


@pytest.mark.parametrize("suite", SUITES)
def test_a_good_night_breaks_nothing(night: Night, suite: str) -> None:
    findings = night.run(suite)

    assert night.broken(suite) == {}
    assert sum_up(suite, findings)["met"] >= 5


def test_a_duplicate_in_a_read_layer_is_named_with_its_key(night: Night) -> None:
    night.replace_by_table(E_CLEAN)
    night.session.execute(f"INSERT INTO {E_CLEAN} SELECT * FROM {E_CLEAN} LIMIT 1")
    repeated = night.session.execute(
        f"SELECT listing_id FROM {E_CLEAN} GROUP BY 1 HAVING count(*) > 1"
    ).fetchone()

    broken = night.broken("uniqueness")

    assert list(broken) == ["key_tom_features_v1_enriched_clean_mv_uq"]
    (finding,) = broken.values()
    assert finding.sample == [{"listing_id": repeated[0], "found": 2}]
    with pytest.raises(ExpectationsBroken, match=r"1 of \d+ expectations are broken"):
        sum_up("uniqueness", [finding])


def test_a_row_that_is_there_twice_is_named_in_each_layer_that_has_a_key(
    refreshed: Night, store_files: Store
) -> None:
    """NULL counts as a value of a key, although a unique index may let such rows pass."""
    keyed = [r for r in store_files.refreshed if r.keys]
    assert {str(r.name) for r in store_files.refreshed} - {str(r.name) for r in keyed} == {D1, D3}
    for relation in keyed:
        (columns,) = relation.keys.values()
        for at in ("", f"SET {columns[0]} = NULL"):
            with refreshed.broken_by(relation.name, at) as broken:
                key = broken[f"key_{next(iter(relation.keys))}"]
                assert key[0][-1] == 2
                assert key[0][0] is None or not at


def test_a_row_that_is_lost_or_foreign_is_named_in_each_layer_that_says_whose_rows_it_holds(
    refreshed: Night, store_files: Store
) -> None:
    held = {str(r.name): str(r.rows.of) for r in store_files.refreshed if r.rows}
    assert held == {B: A, C: A, E: A, E_CLEAN: E, E_SPEED: E_CLEAN, E_AI: E_SPEED, F0: E_CLEAN}
    for relation in held:
        name = f"rows_of_{relation.partition('.')[2]}"
        with refreshed.broken_by(relation, "SET listing_id = -7") as broken:
            lost = broken[name][1][0]
            assert broken[name] == [(-7, False), (lost, True)]
            assert not any(other.startswith("key_") for other in broken)


def test_a_clean_listing_that_e_clean_loses_is_named_by_its_suite(night: Night) -> None:
    night.replace_by_table(E_CLEAN)
    lost = night.session.execute(
        f"DELETE FROM {E_CLEAN} WHERE listing_id = (SELECT min(listing_id) FROM {E_CLEAN}) "
        "RETURNING listing_id"
    ).fetchone()

    broken = night.broken("uniqueness")

    assert set(broken) == {f"rows_of_{NAME[r]}" for r in (E_CLEAN, E_SPEED, F0)}
    finding = broken[f"rows_of_{NAME[E_CLEAN]}"]
    assert finding.sample == [{"listing_id": lost[0], "is_missing": True}]
    assert finding.expectation.expected == (
        f"the rows of {E} without those flagged as spam when {E_CLEAN} was refreshed"
    )


def test_two_alike_ai_rows_that_a_concurrent_refresh_hides_are_found(night: Night) -> None:
    """The refresh silently keeps one of two identical rows with a NULL."""
    night.session.execute(
        'ALTER TABLE "iPhone".iphone_ai_enrich DROP CONSTRAINT iphone_ai_enrich_pkey'
    )
    night.session.execute(
        'INSERT INTO "iPhone".iphone_ai_enrich SELECT a.* FROM "iPhone".iphone_ai_enrich AS a '
        f"INNER JOIN {E_AI} AS e USING (listing_id) WHERE a.storage_gb_fixed_ai IS NULL LIMIT 1"
    )
    night.refresh(E_AI)

    assert list(night.broken("uniqueness")) == ["one_ai_row_per_listing"]


def test_rows_of_no_listing_are_not_two_of_one(night: Night) -> None:
    """Sources without a key may have them; they join nothing."""
    night.session.execute(
        'ALTER TABLE "iPhone".iphone_ai_enrich DROP CONSTRAINT iphone_ai_enrich_pkey;'
        'ALTER TABLE "iPhone".iphone_ai_enrich ALTER listing_id DROP NOT NULL;'
        f"ALTER TABLE {IMAGES} DROP CONSTRAINT device_image_features_unified_v1_pkey;"
        f"ALTER TABLE {IMAGES} ALTER generation DROP NOT NULL, ALTER listing_id DROP NOT NULL"
    )
    night.session.execute(
        'INSERT INTO "iPhone".iphone_ai_enrich (sale_mode) VALUES (NULL), (NULL);'
        f"INSERT INTO {IMAGES} (generation, listing_id) VALUES (14, NULL), (14, NULL);"
        f"INSERT INTO {IMAGES} (generation, listing_id) VALUES (NULL, 7), (NULL, 7)"
    )
    night.refresh()

    assert night.broken("uniqueness") == {}


@pytest.mark.parametrize("token", ["wtb", "  WTB ", "Duplicate-JUNK"])
def test_a_flag_that_was_there_before_the_refresh_cannot_escape(night: Night, token: str) -> None:
    listing = night.session.execute(f"SELECT min(listing_id) FROM {E_CLEAN}").fetchone()[0]
    night.session.execute(
        f"UPDATE {LISTINGS} SET spam = %s WHERE listing_id = %s", (token, listing)
    )
    night.session.execute(f"CREATE TABLE ml.kept AS TABLE {E_CLEAN}")
    night.refresh(E_CLEAN)
    # As if a layer had kept flagged rows: the old rows, with the witness of the new refresh.
    night.replace_by_table(E_CLEAN)
    night.session.execute(f"TRUNCATE {E_CLEAN}")
    night.session.execute(f"INSERT INTO {E_CLEAN} TABLE ml.kept")

    broken = night.broken("spam_absence")

    assert set(broken) == NO_SPAM
    assert broken[f"no_spam_in_{NAME[E_CLEAN]}"].sample == [{"listing_id": listing}]


def test_a_flag_that_e_cleans_own_views_miss_is_seen_in_the_source_itself(night: Night) -> None:
    """The words of spam.toml count, whatever these views take for spam."""
    night.session.execute(
        "CREATE OR REPLACE VIEW ml.spam_listings_v1 AS "
        f"SELECT l.listing_id FROM {LISTINGS} AS l WHERE FALSE"
    )
    night.refresh(E_CLEAN, E_SPEED, E_AI, F0)

    broken = night.broken("spam_absence")

    assert set(broken) == NO_SPAM
    assert f"rows_of_{NAME[E_CLEAN]}" in night.broken("uniqueness")


@pytest.mark.parametrize("suite", SUITES)
def test_what_arrives_between_refresh_and_check_fails_nothing(night: Night, suite: str) -> None:
    night.session.execute(
        f"UPDATE {LISTINGS} SET spam = 'wtb' "
        f"WHERE listing_id = (SELECT min(listing_id) FROM {E_CLEAN})"
    )
    night.session.execute(
        f"UPDATE {LISTINGS} SET sold_date = now(), sold_price = 1 WHERE sold_date IS NULL"
    )
    night.session.execute(
        f"INSERT INTO {LISTINGS} (listing_id, generation, storage_gb, price, edited_date) "
        "SELECT -1, 15, 128, 5000, min(edited_date) FROM " + LISTINGS
    )
    night.session.execute(
        "UPDATE feature_store.device_image_features_unified_v1 SET body_color_key_main = 'gold'"
    )

    assert night.broken(suite) == {}


def test_a_layer_that_this_run_did_not_refresh_is_named(night: Night) -> None:
    night.session.execute(
        "UPDATE feature_store_audit.refresh SET run_id = 'yesterday' WHERE relation = %s", (E_AI,)
    )

    broken = night.broken("as_of_counts")

    assert list(broken) == ["every_layer_was_refreshed_by_this_run"]
    assert broken["every_layer_was_refreshed_by_this_run"].sample == [{"relation": E_AI}]


@pytest.mark.parametrize("suite", SUITES)
def test_an_empty_store_breaks_nothing_and_its_proofs_say_that_they_had_nothing_to_compare(
    store_database: str, store_files: Store, settings: Settings, suite: str
) -> None:
    empty = Night(store_database, store_files, settings)
    empty.refresh()

    assert empty.broken(suite) == {}

    # The words that mark spam, and the colours, are there even without data.
    told = empty.session.execute(
        "SELECT DISTINCT e.observed FROM feature_store_audit.proof AS p "
        "INNER JOIN feature_store_audit.expectation AS e ON p.proof = e.expectation "
        "WHERE p.proof NOT IN ('ml.spam_token_v1', 'feature_store.device_color_v1')"
    ).fetchall()
    assert told == ([(NOTHING_TO_COMPARE,)] if suite == "as_of_counts" else [])
    empty.session.close()


def test_listings_without_a_day_are_counted_apart(night: Night) -> None:
    """Listings whose day is infinite, or of no calendar year, reach no layer: see guards."""
    night.session.execute(
        f"UPDATE {LISTINGS} SET edited_date = NULL, sold_date = NULL, last_seen = NULL "
        f"WHERE listing_id IN (SELECT listing_id FROM {E_CLEAN} ORDER BY 1 LIMIT 2)"
    )
    night.refresh()

    assert night.broken("uniqueness") == {}
    assert night.broken("as_of_counts") == {}


@pytest.mark.parametrize("day", ["infinity", "-infinity", "0044-03-15 BC", "20226-03-01"])
def test_a_broken_row_of_a_day_that_python_has_no_date_for_is_named(night: Night, day: str) -> None:
    night.replace_by_table("ml.ask_daily_median_v1")
    night.session.execute(
        "INSERT INTO ml.ask_daily_median_v1 SELECT 15, 128, %s, 1, 1 FROM generate_series(1, 2)",
        (day,),
    )

    broken = night.broken("uniqueness")

    (row,) = broken["key_ask_daily_median_v1"].sample
    assert row == {"generation": 15, "storage_gb": 128, "ask_day": day, "found": 2}


def test_a_check_that_cannot_run_is_an_error_with_its_cause_and_no_verdict_on_the_data(
    night: Night,
) -> None:
    night.replace_by_table(E_CLEAN)
    night.session.execute(f"ALTER TABLE {E_CLEAN} RENAME COLUMN listing_id TO id")

    findings = {f.expectation.name: f for f in night.run("spam_absence")}

    finding = findings[f"no_spam_in_{NAME[E_CLEAN]}"]
    assert finding.outcome == "error"
    assert "listing_id" in finding.observed
    assert [f for f in findings.values() if f.outcome == "error"] == [finding]
    assert findings[f"no_spam_in_{NAME[E_AI]}"].outcome == "met"
    with pytest.raises(NotChecked, match="says nothing about the data"):
        sum_up("spam_absence", list(findings.values()))


@pytest.mark.parametrize("logins", range(1, 7))
def test_a_login_that_is_refused_in_the_middle_is_tried_again(night: Night, logins: int) -> None:
    """The server may be out of connections, or be ending, while our first session lives."""
    left = iter(range(logins))
    ended = Expectation(
        "x", "ended", "ml.x", "critical", "", "SELECT pg_terminate_backend(pg_backend_pid())"
    )
    others = [replace(ended, name=f"other_{n}", query="SELECT 1 WHERE FALSE") for n in range(3)]

    def connect() -> Connection:
        if next(left, None) is None:
            raise CannotConnect("Cannot connect to db:5432/x as y: too many connections\nfor y")
        connection = night.open()
        connection.autocommit = False
        return connection

    with pytest.raises((CannotConnect, CheckInterrupted)):
        sum_up("x", run_suite([ended, *others], connect))


def test_a_query_may_hold_whatever_sql_may_hold(refreshed: Night) -> None:
    """Braces, colons and percent signs have a meaning for programs that pass the query on."""
    text = "'{batch} {0} :name 100% %s'"

    (finding,) = refreshed.check(
        Expectation(
            "x", "x", "ml.x", "warning", "nothing", f"SELECT {text} AS told WHERE 7 % 2 = 1"
        )
    )

    assert (finding.outcome, finding.sample) == ("broken", [{"told": text.strip("'")}])
    assert finding.seconds > 0


def test_a_query_runs_once_and_all_its_rows_are_counted(night: Night) -> None:
    night.session.execute("CREATE SEQUENCE public.rows_read")
    query = (
        "SELECT g.n FROM generate_series(1, 5000) AS g (n) WHERE nextval('public.rows_read') > 0"
    )
    (finding,) = night.check(Expectation("rows", "many", "ml.x", "critical", "nothing", query))
    assert (finding.breaching, finding.observed) == (5000, "5,000 rows that breach it")
    assert finding.sample == [{"n": n} for n in range(1, 21)]
    read = night.session.execute("SELECT last_value FROM public.rows_read").fetchone()
    assert read == (5000,), "Great Expectations' own runs a query once more for the count"


def test_a_sample_row_may_have_what_json_has_not(night: Night) -> None:
    """A row without numbers that JSON knows is recorded, and so fails its expectation alone."""
    query = (
        "SELECT 'NaN'::float8 AS nan, '-Infinity'::float8 AS low, 'NaN'::numeric AS odd, "
        "ARRAY['Infinity'::float8] AS high, interval '1 day' AS span, '\\x01'::bytea AS raw, "
        "'(1,2)'::point AS place, daterange('2026-01-01', NULL) AS days"
    )
    (finding,) = night.check(Expectation("rows", "odd", "ml.x", "warning", "nothing", query))
    assert finding.outcome == "broken"
    event = begin_suite(night.session, night.lease, "uniqueness")
    record(night.session, event, [finding])
    ((told,),) = night.session.execute(
        "SELECT e.sample -> 0 FROM feature_store_audit.expectation_log AS e "
        f"WHERE e.suite_event = {event}"
    ).fetchall()
    assert told == {
        "nan": "NaN",
        "low": "-Infinity",
        "odd": "NaN",
        "high": ["Infinity"],
        "span": "1 day, 0:00:00",
        "place": "(1,2)",
        "days": "[2026-01-01, None)",
        "raw": "b'\\x01'",
    }


def test_great_expectations_own_uniqueness_misses_a_key_that_holds_a_null(night: Night) -> None:
    """It joins rows to their counts with an equals sign; that is why keys are queries of ours."""
    import great_expectations as gx
    from great_expectations.expectations.core import ExpectCompoundColumnsToBeUnique

    night.replace_by_table(D2)
    night.session.execute(
        f"INSERT INTO {D2} SELECT NULL, 128, '2026-01-01', 1, 1 FROM generate_series(1, 2)"
    )
    source = gx.get_context(mode="ephemeral").data_sources.add_postgres(
        "x",
        connection_string="postgresql+psycopg://x@localhost/x",
        kwargs={"creator": night.open, "pool_size": 1},
    )
    columns = ["generation", "storage_gb", "ask_day"]
    batch = (
        source.add_query_asset("x", query=f"SELECT * FROM {D2}")
        .add_batch_definition_whole_table("x")
        .get_batch()
    )

    found = batch.validate(
        ExpectCompoundColumnsToBeUnique(column_list=columns, ignore_row_if="never")
    )

    assert found.success
    assert set(night.broken("uniqueness")) == {"key_ask_daily_median_v1"}


def test_an_unknown_spam_token_is_a_warning_and_no_failure(night: Night) -> None:
    night.session.execute(
        f"UPDATE {LISTINGS} SET spam = 'Kanskje ' WHERE listing_id = "
        f"(SELECT min(listing_id) FROM {LISTINGS})"
    )
    night.refresh(E_CLEAN)

    findings = night.run("spam_absence")

    assert "every_spam_token_is_known" in sum_up("spam_absence", findings)["warnings"]
    warned = next(f for f in findings if f.expectation.name == "every_spam_token_is_known")
    assert {"token": "kanskje"}.items() <= warned.sample[-1].items() or any(
        row["token"] == "kanskje" for row in warned.sample
    )


def test_generations_that_are_slips_are_warned_of_long_before_f2_is_too_large(
    night: Night,
) -> None:
    night.session.execute(
        f"INSERT INTO {LISTINGS} (listing_id, generation, edited_date) "
        f"SELECT -n, 1000 + n, max(edited_date) FROM {LISTINGS}, generate_series(1, 51) AS n "
        "GROUP BY n"
    )
    night.refresh()

    findings = night.run("as_of_counts")

    assert "device_segments_are_no_slips" in sum_up("as_of_counts", findings)["warnings"]
    warned = next(f for f in findings if f.expectation.name == "device_segments_are_no_slips")
    assert {"gen_key": 1001, "model_variant": "other"}.items() <= warned.sample[0].items()


def test_an_empty_spam_that_leaves_listings_out_is_told_by_name_and_number(night: Night) -> None:
    """CSV loaders write '' for an empty field, and a row with any token is no row of A."""
    name = "few_listings_are_left_out_by_a_token_that_is_no_spam"
    assert name not in sum_up("spam_absence", night.run("spam_absence"))["warnings"]
    lost = night.session.execute(
        f"UPDATE {LISTINGS} SET spam = '' WHERE listing_id % 3 = 0 AND listing_id IN "
        f"(SELECT listing_id FROM {E_CLEAN}) AND spam IS NULL RETURNING listing_id"
    ).fetchall()
    night.refresh()

    findings = night.run("spam_absence")

    assert name in sum_up("spam_absence", findings)["warnings"]
    row, *_ = next(f.sample for f in findings if f.expectation.name == name)
    kept = night.session.execute("SELECT count(*) FROM ml.tom_features_v1_mv").fetchone()
    assert row["token"] == "''"
    assert row["listings_left_out"] >= len(set(lost))
    assert row["listings_kept"] == kept[0]


def test_values_that_are_nan_are_warned_of_and_count_as_missing(
    night: Night, settings: Settings
) -> None:
    """pandas writes NaN for a missing value, and a clipped score would make 1 of it."""
    name = "no_value_is_nan_in_the_source"
    sets = {s.name: s for s in read_feature_sets(settings.include_dir)}
    asked = (
        "SELECT n.feature, n.null_count FROM feature_store_audit.feature_nulls AS n "
        "WHERE n.feature = ANY(%s)"
    )
    features = ["ai_negotiability_f", "seller_rating", "dev_color_vote_share"]

    def missing() -> dict[str, int]:
        event = begin_suite(night.session, night.lease, "as_of_counts")
        for feature_set in sets.values():
            record_nulls(night.session, night.lease, feature_set, event)
        return dict(night.session.execute(asked, (features,)).fetchall())

    def told() -> dict[str, int]:
        findings = night.run("as_of_counts")
        (finding,) = (f for f in findings if f.expectation.name == name)
        assert (finding.outcome == "met") is (name not in sum_up("", findings)["warnings"])
        return {row["feature"]: row["source_rows"] for row in finding.sample}

    for column in ("negotiability_ai", "urgency_ai", "lqs_textonly"):
        night.session.execute(
            f"UPDATE \"iPhone\".iphone_ai_enrich SET {column} = NULL WHERE {column} = 'NaN'"
        )
    night.refresh()
    assert told() == {}
    before = missing()
    ids = [
        listing
        for (listing,) in night.session.execute(
            f"SELECT e.listing_id FROM {E_AI} AS e "
            'INNER JOIN "iPhone".iphone_ai_enrich AS a USING (listing_id) '
            "INNER JOIN feature_store.device_image_features_unified_v1 AS i USING (listing_id) "
            "WHERE a.negotiability_ai IS NOT NULL AND e.seller_rating IS NOT NULL "
            "AND i.color_primary_vote_share IS NOT NULL ORDER BY 1 LIMIT 7"
        ).fetchall()
    ]
    for table, column in (
        ('"iPhone".iphone_ai_enrich', "negotiability_ai"),
        (LISTINGS, "seller_rating"),
        ("feature_store.device_image_features_unified_v1", "color_primary_vote_share"),
    ):
        night.session.execute(
            f"UPDATE {table} SET {column} = 'NaN' WHERE listing_id = ANY(%s)", (ids,)
        )
    night.refresh()

    assert told() == dict.fromkeys(features, 7)
    scores = f"SELECT DISTINCT ai_negotiability_f FROM {E_AI} WHERE listing_id = ANY(%s)"
    assert night.session.execute(scores, (ids,)).fetchall() == [(1.0,)]
    assert missing() == {feature: before[feature] + 7 for feature in features}


@pytest.mark.parametrize("wrong_clock", ["2062-06-30", "infinity"])
def test_a_listing_of_the_future_does_not_hide_that_no_new_ones_come(
    night: Night, wrong_clock: str
) -> None:
    newest = night.session.execute(f"SELECT max(edited_date)::date FROM {LISTINGS}").fetchone()
    open_run(night.session, RUN, "manual", newest[0] + timedelta(days=9), "UTC")
    night.session.execute(
        f"UPDATE {LISTINGS} SET edited_date = %s WHERE listing_id = "
        f"(SELECT min(listing_id) FROM {LISTINGS})",
        (wrong_clock,),
    )
    night.session.execute("REFRESH MATERIALIZED VIEW ml.tom_features_v1_mv")

    findings = {f.expectation.name: f for f in night.run("as_of_counts")}

    assert findings["the_newest_listing_is_fresh"].outcome == "broken"


def test_findings_are_kept_and_a_second_try_replaces_the_first(night: Night) -> None:
    night.run("uniqueness")
    night.run("uniqueness")

    kept = night.session.execute(
        "SELECT count(*), count(DISTINCT expectation), min(outcome) "
        "FROM feature_store_audit.expectation WHERE run_id = 'tonight'"
    ).fetchone()
    assert kept[0] == kept[1] > 15
    assert kept[2] == "met"


@pytest.mark.slow  # imports Great Expectations anew
def test_a_suites_log_holds_nothing_that_great_expectations_says_of_its_own_functions() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import logging; logging.basicConfig(level=logging.INFO);"
            "from feature_store.validation.suites import run_suite; run_suite([], None)",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert "great_expectations" not in told.stderr
