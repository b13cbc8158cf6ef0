"""The store as it stands: the verdict in one line, and each relation as readers are told of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pendulum
import psycopg
import pytest
from airflow.timetables.trigger import CronTriggerTimetable

from feature_store.reporting.freshness import read_freshness
from feature_store.reporting.page.now import read_now
from feature_store.reporting.page.schedule import due
from feature_store.reporting.store.models import RelationState, Standing
from feature_store.reporting.store.store_files import read_files
from feature_store.settings import Settings
from feature_store.validation.certification import certified_in_words
from feature_store.validation.history.by_day import by_day
from feature_store.validation.history.findings import pending_reviews
from tests.feature_store.refresh.certified import CertifiedNights
from tests.relations import A, E

TOKEN = "ml.spam_token_v1"


class Shown(CertifiedNights):
    """Nights, and what the page says of the store after them."""

    def __init__(self, database, store, settings, files) -> None:
        super().__init__(database, store, settings)
        self.settings, self.files = settings, files

    def begin(self, run_id: str, day: str | None = None):
        return super().begin(run_id, day or self.today)

    @property
    def today(self) -> str:
        return str(datetime.now(ZoneInfo(self.settings.zone)).date())

    def now(self):
        return read_now(self.database.connection, self.settings, self.files)

    def passed(self, run_id: str):
        """A whole night that ended well, and gave the lease back."""
        lease = self.good(run_id)
        self.end(lease, "passed")
        return lease

    def end(self, lease, verdict: str, problem: str = "") -> None:
        self.database.run(
            "INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict, problem) "
            f"SELECT dag_id, run_id, '{verdict}', nullif('{problem}', '') "
            f"FROM feature_store_audit.run WHERE run_id = '{lease.holder.run_id}'",
            "UPDATE feature_store_audit.lease SET dag_id = NULL, run_id = NULL",
        )

    def find(self, kind: str) -> None:
        self.database.run(
            "INSERT INTO feature_store_audit.history_finding "
            "(kind, layer, relation, day, dag_id, run_id, latest_dag_id, latest_run_id) "
            f"VALUES ('{kind}', 'sales', '{E}', '2020-01-01', 'x', 'x', 'x', 'x')"
        )

    def state(self, relation: str = E) -> tuple[RelationState, str]:
        (found,) = [r for r in self.now().relations if r.name == relation]
        return found.state, found.state_words


@pytest.fixture
def shown(scratch, store_files, settings, files):
    return Shown(scratch, store_files, settings, files)


def _refusals(shown, feature_set: str) -> str:
    """What require_certified says; empty where it lets readers through."""
    try:
        with shown.database.connection.transaction():
            shown.required(feature_set)
    except psycopg.errors.RaiseException as refused:
        return str(refused)
    return ""


def _reader_of_devices(session) -> str:
    """What a reader of the device set is told; empty where let through."""
    query = "SELECT feature_store.require_certified('iphone_device_meta_encoded_v2_model', '1 day')"
    try:
        session.execute(query)
    except psycopg.errors.RaiseException as refused:
        return str(refused)
    return ""


def _verdict(shown) -> tuple[Standing, str]:
    verdict = shown.now().verdict
    return verdict.standing, verdict.words


def test_without_a_store_it_is_empty_and_the_next_step_creates_it(scratch_sources, settings, files):
    now = read_now(scratch_sources.connection, settings, files)
    assert now.verdict.standing is Standing.EMPTY
    assert "bin/feature-store apply" in now.verdict.next_step
    assert {r.state for r in now.relations} == {RelationState.MISSING}
    assert now.latest is None
    assert now.contracts == []


def test_before_the_first_run_it_is_empty_and_the_next_step_switches_the_dag_on(shown):
    now = shown.now()
    assert now.verdict.standing is Standing.EMPTY
    assert now.verdict.next_step == "airflow dags unpause feature_store_refresh"
    assert shown.state()[0] is RelationState.NEVER


def test_after_a_whole_night_it_is_fresh_and_certified(shown):
    shown.passed("night")
    standing, words = _verdict(shown)
    assert standing is Standing.CERTIFIED
    told = f"Fresh and certified: the run of {shown.today} proved 14 relations, today"
    assert words.startswith(told)
    assert shown.now().verdict.next_step == ""


def test_while_a_run_has_its_turn_it_is_running_and_says_what_readers_have(shown):
    shown.passed("night 1")
    lease = shown.begin("night 2")
    standing, words = _verdict(shown)
    assert standing is Standing.RUNNING
    assert words.startswith("Run night 2 is under way since today at ")
    assert words.endswith("is still in place.")
    assert shown.now().under_way == "night 2"
    shown.refreshed(lease, E)
    refused = (
        "Readers who ask for iphone_device_meta_encoded_v2_model, tom_features_v1 are refused."
    )
    assert _verdict(shown)[1].endswith(f" Not proven now: E. {refused}")


def test_a_run_that_was_silent_for_hours_has_died(shown):
    shown.passed("night 1")
    shown.begin("night 2")
    shown.database.run("UPDATE feature_store_audit.lease SET seen_at = now() - interval '7 hours'")
    standing, words = _verdict(shown)
    assert standing is Standing.FAILED
    assert words.startswith("Run night 2 has stopped without a verdict. What was certified today")


def test_a_run_that_failed_says_why_in_its_first_line(shown):
    shown.passed("night 1")
    shown.end(shown.begin("night 2"), "failed", "No lease.\n  - a long story")
    standing, words = _verdict(shown)
    assert standing is Standing.FAILED
    assert words.startswith("The last run failed: No lease. What was certified today at")
    assert "story" not in words


def test_an_open_leak_is_a_failure_and_a_review_is_not(shown):
    shown.passed("night")
    shown.find("review")
    standing, words = _verdict(shown)
    assert standing is Standing.REVIEW
    assert words.startswith("Certified, and 1 change of old days waits for review")
    assert len(shown.now().reviews) == 1
    shown.database.run("DELETE FROM feature_store_audit.history_finding_log")
    shown.find("leak")
    standing, words = _verdict(shown)
    assert standing is Standing.FAILED
    assert words == f"1 old day of {E} moved without cause."


def test_a_review_is_told_by_day_with_old_and_new_values_as_its_mail_tells_it(shown):
    shown.passed("night")
    shown.database.run(
        "INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, rows_came, "
        "rows_changed, changed_columns, examples, reaches, dag_id, run_id, latest_dag_id, "
        "latest_run_id) SELECT 'review', o.layer, 'ml.x', '2020-01-01', o.came, o.changed, "
        "o.columns, o.examples, o.reaches, 'x', 'x', 'x', 'x' FROM (VALUES "
        '(\'A\', 1, 1, ARRAY[\'price\'], \'[{"row": "changed", "listing_id": 6, "change": '
        '"price 10000 → 8000"}, {"row": "came", "listing_id": 7}]\'::json, '
        '\'[{"output": "E", "first": "2020-01-01", "last": null, "moved": 3}]\'::jsonb), '
        "('D2', 1, 0, ARRAY[]::text[], '[]', '[]')) "
        "AS o (layer, came, changed, columns, examples, reaches)"
    )
    now = shown.now()
    (day,) = now.review_days
    assert [f.layer for f in now.reviews] == ["A", "D2"]
    assert day.words == (
        "1 listing came late, 7; 1 listing changed in price, 6 (price 10000 → 8000); "
        "this moves E on 3 days"
    )
    assert day.accept == "bin/feature-store accept-history --day 2020-01-01 --reason '…'"
    assert now.reviews[0].accept == day.accept.replace(" --reason", " --layer A --reason")
    reviews = pending_reviews(shown.database.connection)
    assert list(by_day(reviews, "listing_id").values()) == [f"2020-01-01: {day.words}"]


def test_a_relation_without_a_file_is_named_with_the_command_that_removes_it(shown):
    assert (shown.now().without_file, shown.now().without_file_step) == ([], "")
    gone = {name: r for name, r in shown.files.relations.items() if name != TOKEN}
    shown.files = replace(shown.files, relations=gone)
    now = shown.now()
    assert now.without_file == [f"{TOKEN}, a view"]
    assert now.without_file_step == (
        f"restore the file; or remove it: bin/feature-store apply --drop {TOKEN}"
    )


def test_a_store_that_no_run_certified_when_one_was_due_is_stale(shown):
    shown.passed("night")
    shown.database.run(
        "UPDATE feature_store_audit.certification_log SET certified_at = '2026-06-30 05:00Z'"
    )
    standing, words = _verdict(shown)
    assert standing is Standing.STALE
    assert "no run has certified the store since" in words


def test_a_run_of_an_old_day_does_not_make_a_store_fresh(shown):
    """It checks its sources as of its own day, so it cannot show that they have dried up since."""
    shown.end(shown.begin("a night"), "failed", "Failed: as_of_counts.")
    lease = shown.begin("backfill of June", "2026-06-30")
    shown.refreshed(lease)
    shown.checked(lease)
    shown.certify(lease)
    shown.end(lease, "passed")
    standing, words = _verdict(shown)
    assert standing is Standing.STALE
    assert words.startswith("Not fresh: no run for ")
    assert shown.state()[0] is RelationState.CERTIFIED


def test_a_run_of_an_old_day_after_a_whole_night_takes_nothing_from_it(shown):
    shown.passed("night")
    lease = shown.begin("backfill of June", "2026-06-30")
    shown.refreshed(lease)
    shown.checked(lease)
    shown.certify(lease)
    shown.end(lease, "passed")
    assert _verdict(shown)[0] is Standing.CERTIFIED


def test_a_run_that_died_before_it_was_on_record_has_not_passed(shown):
    shown.begin("first")
    shown.database.run(
        "DELETE FROM feature_store_audit.run_log",
        "UPDATE feature_store_audit.lease SET seen_at = now() - interval '7 hours'",
    )
    standing, words = _verdict(shown)
    assert standing is Standing.FAILED
    assert words == "Run first has stopped without a verdict. Nothing has been certified yet."


def test_the_clock_is_the_database_s_which_stamps_the_record(shown):
    with shown.database.connection.transaction():
        (moment,) = shown.database.rows("SELECT now()")[0]
        assert shown.now().read_at == moment


@pytest.mark.parametrize(
    ("schedule", "at", "expected"),
    [
        # Tonight's run starts at 03:20 in Oslo, and may still be late until six hours after that.
        ("20 3 * * *", "2026-06-30T07:00+00:00", "2026-06-29T01:20+00:00"),
        ("20 3 * * *", "2026-06-30T07:30+00:00", "2026-06-30T01:20+00:00"),
        # A store that is refreshed once a week is fresh for a week.
        ("20 3 * * 1", "2026-07-05T20:00+00:00", "2026-06-29T01:20+00:00"),
    ],
)
def test_what_is_fresh_goes_by_the_schedule(schedule, at, expected):
    found = due(replace(Settings(), schedule=schedule), datetime.fromisoformat(at))
    assert found.astimezone(UTC) == datetime.fromisoformat(expected)
    assert found.utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("schedule", ["20 2 * * *", "20 3 * * *", "0 0 * * *"])
@pytest.mark.parametrize("since", ["2026-10-23", "2026-03-27"])
def test_where_clocks_are_changed_it_goes_by_the_times_that_airflow_starts_at(schedule, since):
    """In autumn there is 02:20 twice, in spring not at all."""
    timetable = CronTriggerTimetable(schedule, timezone="Europe/Oslo")
    start = pendulum.parse(since, tz="UTC")
    starts = [timetable._get_next(start)]
    while starts[-1] < start.add(days=5):
        starts.append(timetable._get_next(starts[-1]))
    settings = replace(Settings(), schedule=schedule)
    for minutes in range(0, 4 * 24 * 60, 20):
        at = starts[0] + timedelta(hours=6, minutes=minutes)
        expected = max(moment for moment in starts if moment <= at - timedelta(hours=6))
        assert due(settings, at).astimezone(UTC) == expected, at


def test_a_contract_that_does_not_hold_is_a_failure(shown):
    shown.passed("night")
    shown.database.run("UPDATE ml.feature_contract SET dtype = 'int8' WHERE feature_name = 'price'")
    standing, words = _verdict(shown)
    assert standing is Standing.FAILED
    assert words.startswith("The contract of tom_features_v1 does not hold: ")
    held = {c.name: c.holds for c in shown.now().contracts}
    assert held == {"tom_features_v1": False, "iphone_device_meta_encoded_v2_model": True}


def test_a_proof_that_is_not_as_it_was_stamped_is_a_failure(shown, include):
    shown.passed("night")
    shown.settings = replace(shown.settings, include_dir=include.directory)
    assert _verdict(shown)[0] is Standing.CERTIFIED
    include.edit("thresholds.toml", "most_rows_lost = 0.4", "most_rows_lost = 1.0")
    assert _verdict(shown) == (
        Standing.FAILED,
        "The next run will fail. Not as stamped: thresholds.toml, most_rows_lost was 0.4, is 1.0.",
    )
    assert "bin/feature-store stamp-proofs" in shown.now().verdict.next_step


def test_a_link_to_nowhere_in_the_store_s_folder_is_told_and_hides_nothing(shown, include):
    """Editors lock a file with such a link."""
    shown.passed("night")
    shown.settings = replace(shown.settings, include_dir=include.directory)
    lock = include.directory / ".#thresholds.toml"
    lock.symlink_to("nobody@nowhere.1234")
    standing, words = _verdict(shown)
    assert standing is Standing.FAILED
    assert f"{lock} cannot be read: " in words
    lock.unlink()
    assert _verdict(shown)[0] is Standing.CERTIFIED


def test_without_a_stamp_a_contract_says_how_to_get_one(scratch, settings, files):
    contracts = read_now(scratch.connection, settings, files).contracts
    assert [(c.holds, c.stamped_hash) for c in contracts] == [(False, None)] * 2
    assert "stamp-contract tom_features_v1" in str([c.problems for c in contracts])


@pytest.mark.parametrize(("age", "standing"), [(2, Standing.CERTIFIED), (151, Standing.STALE)])
def test_that_nothing_new_comes_in_is_amber_and_names_the_newest_listing(shown, age, standing):
    shown.passed("night")
    newest = due(shown.settings, datetime.now(UTC)).date() - timedelta(days=age)
    shown.database.run(
        "INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample) "
        f"SELECT refresh_id, 'listings of the newest day', 3, '[{{\"day\": \"{newest}\"}}]' "
        f"FROM feature_store_audit.latest_refresh WHERE relation = '{A}'"
    )
    told, words = _verdict(shown)
    assert told is standing
    assert (f"their newest day is {newest}" in words) == (standing is Standing.STALE)
    assert shown.database.value("SELECT sources_until FROM ml.store_freshness('1 day')") == newest


@pytest.mark.parametrize("day", ["infinity", "20260-01-01", "0044-03-15 BC"])
def test_a_far_day_of_the_sources_is_no_error_of_whoever_asks(shown, day):
    shown.passed("night")
    shown.database.run(
        "INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample) "
        f"SELECT refresh_id, 'listings of the newest day', 3, '[{{\"day\": \"{day}\"}}]' "
        f"FROM feature_store_audit.latest_refresh WHERE relation = '{A}'"
    )
    assert _verdict(shown)[0] is Standing.CERTIFIED
    found = read_freshness(shown.database.connection, "30 hours", shown.files.profile)
    assert [(one.ok, one.sources_until) for one in found] == [(True, None)] * 2


class TestARelation:
    """The page tells of it what require_certified decides."""

    def test_that_was_refreshed_since_is_unproven(self, shown):
        shown.passed("night 1")
        shown.refreshed(shown.begin("night 2"), E)
        state, words = shown.state()
        assert state is RelationState.UNPROVEN
        assert words.startswith("Run night 2 refreshed it at ")
        assert "NOT CERTIFIED" in shown.refusal("tom_features_v1")

    def test_that_a_run_found_broken_is_revoked(self, shown):
        shown.passed("night")
        shown.database.run(
            "INSERT INTO feature_store_audit.withdrawal_log (certification_event, dag_id, run_id) "
            f"SELECT event_id, 'x', 'x' FROM feature_store_audit.certified WHERE relation = '{E}'"
        )
        assert shown.state() == (RelationState.REVOKED, "Run x found its rows broken.")
        standing, words = _verdict(shown)
        assert standing is Standing.FAILED
        assert "are not proven now: E. Readers who ask for " in words
        # E-AI is made from E, so the page says that it stands on E; other sets may be read.
        now = shown.now()
        by_name = {r.name: r.stands_on for r in now.relations}
        assert by_name["ml.tom_features_v1_enriched_ai_clean_mv"] == ["E"]
        assert by_name[A] == by_name[E] == []
        for contract in now.contracts:
            refused = contract.refused_for == ["E"]
            assert contract.readable is not refused
            assert refused is bool(_refusals(shown, contract.name))

    def test_that_somebody_refreshed_by_hand_is_rewritten(self, shown):
        shown.passed("night")
        shown.database.run(f"REFRESH MATERIALIZED VIEW {A}")
        assert shown.state(A)[0] is RelationState.REWRITTEN

    def test_that_somebody_dropped_is_missing(self, shown):
        shown.passed("night")
        shown.database.run(f"DROP MATERIALIZED VIEW {E} CASCADE")
        assert shown.state()[0] is RelationState.MISSING
        assert _verdict(shown)[0] is Standing.FAILED

    def test_that_a_run_found_unchanged_says_why(self, shown):
        shown.passed("night 1")
        lease = shown.begin("night 2")
        shown.database.run(
            "INSERT INTO feature_store_audit.reuse_log "
            "(dag_id, run_id, relation, refresh_id, reason) "
            f"SELECT 'feature_store_refresh', 'night 2', relation, refresh_id, 'nothing changed' "
            f"FROM feature_store_audit.latest_refresh WHERE relation = '{E}'"
        )
        shown.end(lease, "passed")
        reused = {r.name: r.reused for r in shown.now().relations if r.reused}
        assert reused == {E: "nothing changed"}

    def test_that_an_earlier_try_of_the_run_found_unchanged_says_nothing(self, shown):
        shown.passed("night 1")
        shown.begin("night 2")
        shown.database.run(
            "INSERT INTO feature_store_audit.reuse_log "
            "(dag_id, run_id, relation, refresh_id, reason, reused_at) "
            "SELECT 'feature_store_refresh', 'night 2', relation, refresh_id, 'nothing changed', "
            f"now() - interval '1 hour' FROM feature_store_audit.latest_refresh "
            f"WHERE relation = '{E}'"
        )
        shown.begin("night 2")  # cleared, and run again
        assert not [r.reused for r in shown.now().relations if r.reused]

    def test_that_is_a_view_whose_query_somebody_replaced_is_told_by_name(self, shown):
        """Neither a file nor a contract tells, as the columns are the same."""
        shown.passed("night")
        (query,) = shown.database.rows(f"SELECT pg_get_viewdef('{TOKEN}'::regclass)")[0]
        query = query.rstrip("; ")
        shown.database.run(
            f"CREATE OR REPLACE VIEW {TOKEN} AS SELECT * FROM ({query}) AS q LIMIT 1"
        )
        standing, words = _verdict(shown)
        assert standing is Standing.FAILED
        assert "somebody has replaced the query of spam_token_v1 since apply" in words
        assert "Readers who ask are not refused." in words
        assert "bin/feature-store plan" in shown.state(TOKEN)[1]
        shown.database.run(f"CREATE OR REPLACE VIEW {TOKEN} AS {query}")
        assert _verdict(shown)[0] is Standing.CERTIFIED

    @pytest.mark.parametrize("locked", [A, "feature_store.listing_device_features_clean_mv"])
    def test_is_asked_about_without_waiting_for_whoever_refreshes_it(self, nightly, files, locked):
        """The server has to word the query of what reads it: of the labels, and of F1."""
        with nightly.session() as refreshing, refreshing.transaction(force_rollback=True):
            refreshing.execute(f"REFRESH MATERIALIZED VIEW {locked} WITH NO DATA".encode())
            with nightly.session() as page:
                page.execute("SET lock_timeout = '400ms'")
                now = read_now(page, Settings(), files)
                told = certified_in_words(page)
                reader = _reader_of_devices(page)
                assert page.execute("SHOW lock_timeout").fetchone() == ("400ms",)
        assert now.verdict.standing is Standing.CERTIFIED
        device, tom = (contract.readable for contract in now.contracts)
        assert (device, tom) == ((None, None) if locked == A else (None, True))
        assert "is not known at the moment" in now.verdict.words
        assert "nobody can tell at the moment: somebody holds a lock" in told
        assert "Try again in a moment." in reader


class TestTheFiles:
    """The graph is made from the SQL files."""

    def test_every_relation_stands_above_all_that_it_reads(self, files, store_files):
        assert set(files.relations) == {str(r.name) for r in store_files.relations}
        for relation in store_files.relations:
            described = files.relations[str(relation.name)]
            assert set(described.reads) == set(map(str, relation.reads))
            below = [files.relations[r].level for r in described.reads if r in files.relations]
            assert described.level == 1 + max(below, default=-1)

    def test_each_is_described_as_the_documents_call_it(self, files):
        labels = {r.name: (r.label, r.what) for r in files.relations.values()}
        assert labels[E] == ("E", "t0 features with market anchors")
        assert labels["ml.spam_token_v1"][0] == "spam_token_v1"
        assert all(r.what and r.grain for r in files.relations.values())

    def test_they_are_read_again_after_a_change(self, include):
        first = read_files(include.directory)
        assert read_files(include.directory) is first
        path = f"sql/read/{E}.sql"
        include.edit(path, "t0 features with market anchors", "something else altogether")
        assert read_files(include.directory).relations[E].what == "something else altogether"
