"""The suites: each breakage gives the one right verdict, and only what is broken is named."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from feature_store.audit.lease import RunKey, take_lease
from feature_store.audit.runs import open_run
from feature_store.connection import Connection
from feature_store.database.session import pin
from feature_store.database.side_by_side import Job, side_by_side
from feature_store.declarations.expectations import Expectation, read_expectations
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.store_definition import Store
from feature_store.errors import ExpectationsBroken, NotChecked
from feature_store.proof.proving import NOTHING_TO_COMPARE, compared_rows, proofs
from feature_store.refresh.refresh import refresh
from feature_store.settings import Settings
from feature_store.validation.null_counts import record_nulls
from feature_store.validation.suite_record import begin_suite, record
from feature_store.validation.suite_result import sum_up, tell_empty
from feature_store.validation.suites import SuiteFinding, run_suite
from sandbox.roles import OWNER
from sandbox.server import Server
from tests.relations import D1, D2, D3, E_AI, E_CLEAN, E_SPEED, F0, F1, F2, A, B, C, E

NAME = {r: r.partition(".")[2] for r in (E, E_CLEAN, E_SPEED, E_AI, F0)}
NO_SPAM = {f"no_spam_in_{NAME[r]}" for r in (E_CLEAN, E_SPEED, E_AI, F0)}
RUN = RunKey("feature_store_refresh", "tonight")
LISTINGS = '"iPhone".iphone_listings'
_WAITING = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
IMAGES = "feature_store.device_image_features_unified_v1"


class Night:
    """A store over a small sample, refreshed by one run, and what that run's suites find."""

    def __init__(self, conninfo: str, files: Store, settings: Settings) -> None:
        self._conninfo = conninfo
        self._files = files
        self._settings = settings
        self.session = self.open()
        self.lease = take_lease(self.session, RUN, lambda _: True, timedelta(0))

    def open(self) -> Connection:
        connection = psycopg.connect(self._conninfo, autocommit=True)
        pin(connection, self._settings, "tests")
        return connection

    def refresh(self, *names: str) -> None:
        for relation in self._files.refreshed:
            if not names or str(relation.name) in names:
                refresh(self.session, relation, self.lease, "UTC")

    def run(self, suite: str) -> list[SuiteFinding]:
        """Run a suite, and its proofs."""
        event = begin_suite(self.session, self.lease, suite)
        compared = {}
        if suite == "as_of_counts":
            side_by_side(proofs(self.session, self._files, self.lease, event), [self.session])
            compared = compared_rows(self.session, event)
        expectations = read_expectations(self._settings.include_dir, self._files, suite)
        findings = tell_empty(self.check(*expectations), compared)
        record(self.session, event, findings)
        return findings

    def proof_of(self, relation: str) -> tuple[int, Job]:
        """The number of a suite's try, and the one proof of it that is about a relation."""
        event = begin_suite(self.session, self.lease, "as_of_counts")
        jobs = proofs(self.session, self._files, self.lease, event)
        (job,) = [j for j in jobs if str(j.keywords["relation"].name) == relation]  # type: ignore[attr-defined]
        return event, job

    def check(self, *expectations: Expectation) -> list[SuiteFinding]:
        def connect() -> Connection:
            connection = self.open()
            connection.autocommit = False
            return connection

        return run_suite(expectations, connect)

    def broken(self, suite: str) -> dict[str, SuiteFinding]:
        findings = self.run(suite)
        assert {f.outcome for f in findings} <= {"met", "broken"}, findings
        return {
            f.expectation.name: f
            for f in findings
            if f.outcome == "broken" and f.expectation.severity == "critical"
        }

    @contextmanager
    def broken_by(self, relation: str, change: str) -> Iterator[dict[str, list[Any]]]:
        """What breaks in `uniqueness` if a row of a relation is changed, or is there twice."""
        expectations = read_expectations(self._settings.include_dir, self._files, "uniqueness")
        with self.session.transaction(force_rollback=True):
            self.replace_by_table(str(relation))
            row = f"WHERE ctid = (SELECT max(ctid) FROM {relation})"
            if change:
                self.session.execute(f"UPDATE {relation} {change} {row}")
            if "-7" not in change:
                self.session.execute(f"INSERT INTO {relation} SELECT * FROM {relation} {row}")
            found = {e.name: self.session.execute(e.query).fetchall() for e in expectations}
            yield {name: rows for name, rows in found.items() if rows}

    def replace_by_table(self, relation: str) -> None:
        """Put a table with the same rows in the place of a view, so that a test can break rows."""
        schema, name = relation.split(".")
        self.session.execute(f"ALTER MATERIALIZED VIEW {relation} RENAME TO {name}_kept")
        self.session.execute(f"CREATE TABLE {relation} AS TABLE {schema}.{name}_kept")

    def answer_otherwise(self, relation: str, change: str) -> None:
        """Let a relation's query give other rows the second time that it is run."""
        name = relation.partition(".")[2]
        rows, query, owner = self.session.execute(
            f"SELECT (SELECT count(*) FROM {relation}), pg_get_viewdef(oid), relowner::regrole "
            f"FROM pg_class WHERE oid = '{relation}'::regclass"
        ).fetchone()
        self.session.execute("CREATE SEQUENCE public.rows_given")
        self.session.execute("GRANT USAGE ON SEQUENCE public.rows_given TO PUBLIC")
        columns = ", ".join(
            f"{change} AS {column}" if f"q.{column}" in change else f"q.{column}"
            for (column,) in self.session.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
                "ORDER BY attnum",
                (relation,),
            )
        )
        self.session.execute(f"ALTER MATERIALIZED VIEW {relation} RENAME TO {name}_before")
        self.session.execute(
            f"CREATE MATERIALIZED VIEW {relation} AS SELECT {columns} "
            f"FROM ({query.rstrip(';')}) AS q "
            # It names q, so that it is asked once for each row.
            "CROSS JOIN LATERAL (SELECT nextval('public.rows_given') > "
            f"CASE WHEN q IS NULL THEN 0 ELSE {rows} END AS is_second) AS answer WITH NO DATA"
        )
        self.session.execute(f"ALTER MATERIALIZED VIEW {relation} OWNER TO {owner}")


@pytest.fixture(scope="module")
def refreshed_template(
    server: Server, filled_template: str, store_files: Store, settings: Settings
) -> str:
    conninfo = server.create_database("night", filled_template)
    night = Night(conninfo, store_files, settings)
    night.refresh()
    night.session.close()
    return "night"


@pytest.fixture(scope="module")
def refreshed(
    server: Server, refreshed_template: str, store_files: Store, settings: Settings
) -> Iterator[Night]:
    """A night after its refresh. No test changes anything of it for good."""
    tonight = Night(server.create_database("kept", refreshed_template), store_files, settings)
    yield tonight
    tonight.session.close()


@pytest.fixture
def night(
    server: Server,
    refreshed_template: str,
    store_files: Store,
    settings: Settings,
    request: pytest.FixtureRequest,
) -> Iterator[Night]:
    name = f"night_{abs(hash(request.node.nodeid))}"
    tonight = Night(server.create_database(name, refreshed_template), store_files, settings)
    yield tonight
    tonight.session.close()
    server.drop_database(name)


SUITES = ("uniqueness", "spam_absence", "as_of_counts")


@pytest.mark.parametrize("suite", SUITES)
def test_a_good_night_breaks_nothing(night: Night, suite: str) -> None:
    findings = night.run(suite)

    assert night.broken(suite) == {}
    assert sum_up(suite, findings)["met"] >= 5


def test_every_row_is_compared(night: Night, store_files: Store) -> None:
    night.run("as_of_counts")

    proofs = night.session.execute("SELECT proof, compared FROM feature_store_audit.proof")
    proven = dict(proofs.fetchall())
    assert proven.keys() == {str(relation.name) for relation in store_files.relations}
    for relation, compared in proven.items():
        rows = night.session.execute(f"SELECT count(*) FROM {relation}").fetchone()
        assert rows == (compared,)
        assert compared > 0


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


def test_a_count_off_by_one_in_a_single_row_of_f2_is_named(night: Night) -> None:
    night.replace_by_table(F2)
    row = night.session.execute(
        f"UPDATE {F2} SET gmc_color_n_in_seg = gmc_color_n_in_seg + 1 WHERE ctid = "
        f"(SELECT ctid FROM {F2} WHERE gmc_color_n_in_seg > 0 LIMIT 1) "
        "RETURNING t0_day::text, gen_key, model_variant, color_bucket"
    ).fetchone()

    broken = night.broken("as_of_counts")

    assert list(broken) == [F2]
    told = json.dumps(broken[F2].sample, default=str)
    assert all(str(part) in told for part in row)


def test_a_median_of_e_that_is_off_is_found(night: Night) -> None:
    night.replace_by_table(E)
    night.session.execute(
        f"UPDATE {E} SET sold_median_price_30d = sold_median_price_30d + 0.5 WHERE listing_id = "
        f"(SELECT min(listing_id) FROM {E} WHERE sold_cnt_30d > 0)"
    )

    assert list(night.broken("as_of_counts")) == [E]


def test_an_embargo_broken_by_one_day_is_found(night: Night) -> None:
    definition = night.session.execute(f"SELECT pg_get_viewdef('{E}'::regclass)").fetchone()[0]
    leaky = definition.replace("(c.t0_day - 1)", "c.t0_day")
    assert leaky != definition
    night.session.execute(f"ALTER MATERIALIZED VIEW {E} RENAME TO honest")
    night.session.execute(f"CREATE MATERIALIZED VIEW {E} AS {leaky}")

    assert E in night.broken("as_of_counts")


def test_a_layer_that_this_run_did_not_refresh_is_named(night: Night) -> None:
    night.session.execute(
        "UPDATE feature_store_audit.refresh SET run_id = 'yesterday' WHERE relation = %s", (E_AI,)
    )

    broken = night.broken("as_of_counts")

    assert list(broken) == ["every_layer_was_refreshed_by_this_run"]
    assert broken["every_layer_was_refreshed_by_this_run"].sample == [{"relation": E_AI}]


def test_rows_that_are_gone_with_all_that_they_were_made_of_are_missed_by_what_reads_them(
    night: Night,
) -> None:
    night.replace_by_table(F2)
    night.session.execute(f"TRUNCATE {F2}")
    night.session.execute(
        "ALTER MATERIALIZED VIEW feature_store.device_count_day_v1_mv RENAME TO x"
    )
    night.session.execute(
        "CREATE TABLE feature_store.device_count_day_v1_mv AS TABLE feature_store.x"
    )
    night.session.execute("TRUNCATE feature_store.device_count_day_v1_mv")

    assert "feature_store.device_meta_encoded_t0_v1" in night.broken("as_of_counts")


def test_what_a_refresh_finds_breaks_every_suite_over_its_rows(night: Night) -> None:
    """The day of the edit stands in the place of the sale's: every sale leaks."""
    definition = night.session.execute(f"SELECT pg_get_viewdef('{D1}'::regclass)").fetchone()[0]
    leaky = definition.rstrip(";").replace("(sold_date)::date", "(edited_date)::date")
    assert leaky != definition.rstrip(";")
    night.session.execute(f"ALTER MATERIALIZED VIEW {D1} RENAME TO honest")
    night.session.execute(f"CREATE MATERIALIZED VIEW {D1} AS {leaky} WITH NO DATA")
    night.session.execute(f"ALTER MATERIALIZED VIEW {D1} OWNER TO {OWNER}")
    night.refresh(D1)

    for _ in range(2):
        broken = night.broken("as_of_counts")
        assert D1 in broken
        (found,) = broken[D1].sample
        assert found["broken"] > 0
        assert found["sample"][0]["key"]["sold_day"]


@pytest.mark.parametrize("relation", ["ml.tom_features_v1_mv", "ml.tom_train_base_v1_mv"])
def test_a_relation_that_was_never_compared_is_not_proven(night: Night, relation: str) -> None:
    """Whether its refresh should have compared it, or the suite."""
    kept = night.run("as_of_counts")
    assert relation in {f.expectation.name for f in kept if f.outcome == "met"}
    night.session.execute(
        "CREATE FUNCTION public.forget_it() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RETURN CASE WHEN NEW.proof <> '{relation}' THEN NEW END; END $$"
    )
    night.session.execute(
        "CREATE TRIGGER forget_it BEFORE INSERT ON feature_store_audit.proof_log "
        "FOR EACH ROW EXECUTE FUNCTION public.forget_it()"
    )
    night.session.execute("DELETE FROM feature_store_audit.proof_log")
    night.refresh()

    assert list(night.broken("as_of_counts")) == [relation]


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


@pytest.mark.parametrize(
    ("relation", "change"),
    [
        (B, "q.duration_hours + CASE WHEN answer.is_second THEN 1 ELSE 0 END"),
        (D1, "q.duration_hours + CASE WHEN answer.is_second THEN 1 ELSE 0 END"),
        (D3, "CASE WHEN answer.is_second THEN -q.sold_price ELSE q.sold_price END"),
    ],
)
def test_the_rows_that_are_stored_are_those_that_were_compared(
    night: Night, caplog: pytest.LogCaptureFixture, relation: str, change: str
) -> None:
    """A query that leaves a choice open gives one answer to the proof, and stores another."""
    night.answer_otherwise(relation, change)
    night.refresh(relation)
    by_refresh = night.session.execute(
        "SELECT p.broken FROM feature_store_audit.proof_log AS p "
        "JOIN feature_store_audit.latest_refresh AS r USING (refresh_id) WHERE p.proof = %s",
        (relation,),
    ).fetchall()
    assert by_refresh == [(0,)], "what the refresh compared was right"
    (found,) = [f for f in night.run("as_of_counts") if f.expectation.name == relation]
    assert found.outcome == "broken"
    assert found.sample[0]["sample"][0]["observed"] == {
        "stored": "other rows than those compared: the query leaves a choice open"
    }
    assert f"{relation}: other rows are stored than were compared with its" in caplog.text


def test_a_view_is_not_proven_on_a_source_that_is_empty_while_it_is_reloaded(
    night: Night, caplog: pytest.LogCaptureFixture
) -> None:
    """The view and its specification would agree, and its rows be others a moment later."""
    (right,) = night.session.execute(f"SELECT pg_get_viewdef('{F1}'::regclass)").fetchone()
    wrong = right.replace("u.n_color_votes", "u.image_count")
    assert wrong != right
    night.session.execute(f"CREATE OR REPLACE VIEW {F1} AS {wrong}")
    event, job = night.proof_of(F1)
    caplog.set_level("INFO")
    with night.open() as other, ThreadPoolExecutor(1) as pool, night.open() as watch:
        other.autocommit = False
        other.execute(f"CREATE TEMPORARY TABLE kept AS TABLE {IMAGES}")
        other.execute(f"TRUNCATE {IMAGES}")
        other.execute(f"INSERT INTO {IMAGES} TABLE kept")
        proving = pool.submit(job, night.session)
        until = time.monotonic() + 30
        while not proving.done() and time.monotonic() < until:
            if "being reloaded" in caplog.text or watch.execute(_WAITING).rowcount:
                break
            time.sleep(0.05)
        other.commit()
        proving.result()
    (broken,) = night.session.execute(
        "SELECT broken FROM feature_store_audit.proof_log WHERE suite_event = %s", (event,)
    ).fetchone()
    assert broken > 0


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
