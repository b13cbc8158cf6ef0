"""Certification: readers are let through only to rows that a whole run has proven."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest

from feature_store.audit.lease import RunKey, take_lease
from feature_store.audit.runs import fail_run, passed_since, verdict_of
from feature_store.errors import LeaseTaken, NotReady
from feature_store.refresh.lost_rows import check_sources, read_limits
from feature_store.schema.apply import apply
from feature_store.schema.readiness import check_ready
from feature_store.validation.certification import certified_in_words, read_certified, revoke
from tests.feature_store.conftest import Database
from tests.feature_store.refresh.certified import CertifiedNights
from tests.relations import COUNTS as _COUNTS
from tests.relations import E_AI as _E_AI
from tests.relations import F1 as _F1
from tests.relations import F3 as _F3
from tests.relations import A as _A

_TOM, _DEVICE = "tom_features_v1", "iphone_device_meta_encoded_v2_model"
_E, _F2 = "ml.tom_features_v1_enriched_mv", "feature_store.device_meta_gmc_stats_t0_v1_mv"


_LABELS = "ml.tom_labels_v1_mv"
_READ_BY_LABELS = (
    f"SELECT r.inputs ->> '{_A}' FROM feature_store_audit.refresh AS r "
    f"WHERE r.relation = '{_LABELS}' ORDER BY r.refresh_id DESC LIMIT 1"
)
# An earlier row of a listing: its t0 moves.
_EARLIER = """
INSERT INTO "iPhone".iphone_listings (listing_id, generation, storage_gb, price, edited_date)
SELECT a.listing_id, a.generation, a.storage_gb, a.price, a.edited_date - interval '1 day'
FROM ml.tom_features_v1_mv AS a
ORDER BY a.listing_id
LIMIT 1
"""


@pytest.fixture
def refreshed(server, filled_template, store_files, settings):
    """Nights over a store with rows in its sources."""
    database = Database(server.create_database("by_hand", filled_template), settings)
    yield CertifiedNights(database, store_files, settings)
    database.close()
    server.drop_database("by_hand")


@pytest.fixture
def nights(scratch, store_files, settings):
    return CertifiedNights(scratch, store_files, settings)


def test_a_store_that_no_run_has_proven_is_refused(nights):
    assert "has never been certified" in nights.refusal(_TOM)


def test_after_a_whole_run_readers_are_let_through_and_told_which_run(nights):
    nights.good("monday")
    assert nights.required(_TOM) == ("2026-06-30", "monday")
    assert nights.required(_DEVICE) == ("2026-06-30", "monday")
    assert read_certified(nights.database.connection)[_E] == {
        "run_id": "monday",
        "as_of_day": "2026-06-30",
        "rows": 7,
    }


def test_only_a_verdict_that_it_passed_says_that_a_run_was_certified(nights):
    connection, lease = nights.database.connection, nights.good("monday")
    assert passed_since(connection, lease.holder, 0)
    before = verdict_of(connection, lease.holder)
    assert not passed_since(connection, lease.holder, before)
    fail_run(connection, lease.holder, "It stopped without a verdict.", {}, 1)
    assert verdict_of(connection, lease.holder) > before
    assert not passed_since(connection, lease.holder, before)


def test_from_the_moment_that_a_refresh_replaces_certified_rows_until_they_are_proven(nights):
    nights.good("monday")
    tuesday = nights.begin("tuesday")
    assert nights.required(_TOM) == ("2026-06-30", "monday")  # nothing replaced yet
    nights.refreshed(tuesday, _E)
    assert "by run tuesday, which has not been certified" in nights.refusal(_TOM)
    nights.refreshed(tuesday)
    nights.checked(tuesday)
    assert "NOT CERTIFIED" in nights.refusal(_TOM)  # checked, but without a verdict
    nights.certify(tuesday)
    assert nights.required(_TOM) == ("2026-06-30", "tuesday")


def test_a_set_whose_rows_nobody_touched_stays_certified(nights):
    nights.good("monday")
    nights.refreshed(nights.begin("tuesday"), _F2)
    assert nights.required(_TOM) == ("2026-06-30", "monday")
    assert _F2 in nights.refusal(_DEVICE)


def test_a_certification_older_than_max_age_is_refused(nights):
    nights.good("monday")
    nights.database.run(
        "UPDATE feature_store_audit.certification_log "
        "SET certified_at = now() - interval '31 hours'"
    )
    assert nights.required(_TOM, "32 hours")
    assert "CERTIFICATION TOO OLD" in nights.refusal(_TOM, "30 hours")


def test_a_certificate_is_as_old_as_the_oldest_refresh_of_its_run(nights):
    """On Monday somebody clears the last tasks of Friday's run, which reads nothing anew."""
    friday = nights.begin("friday")
    nights.refreshed(friday)
    nights.database.run(
        "UPDATE feature_store_audit.refresh SET finished_at = finished_at - interval '3 days' "
        f"WHERE relation = '{_LABELS}'"
    )
    nights.checked(friday)
    nights.certify(friday)
    assert nights.required(_TOM, "4 days")
    assert "CERTIFICATION TOO OLD" in nights.refusal(_TOM, "2 days")
    # What a later run found unchanged is as old as that look.
    monday = nights.begin("monday")
    nights.database.run(
        "INSERT INTO feature_store_audit.reuse_log (dag_id, run_id, relation, refresh_id, reason) "
        "SELECT dag_id, 'monday', relation, refresh_id, '' FROM feature_store_audit.latest_refresh"
    )
    nights.checked(monday)
    nights.certify(monday)
    assert nights.required(_TOM, "1 hour") == ("2026-06-30", "monday")


def test_rows_found_broken_later_lose_their_certification(nights):
    nights.good("monday")
    tuesday = nights.begin("tuesday")
    nights.checked(tuesday, "uniqueness", outcome="broken", relation=_F2)
    nights.checked(tuesday, "spam_absence", outcome="error", relation=_E)
    revoke(nights.database.connection, tuesday.holder)
    assert nights.refusal(_DEVICE) == f"NOT CERTIFIED: {_F2} was found broken by run tuesday"
    assert nights.required(_TOM)  # a suite that could not check is no proof of broken rows
    nights.good("wednesday")
    assert nights.required(_DEVICE) == ("2026-06-30", "wednesday")


def test_rows_rewritten_by_hand_are_refused(nights):
    nights.database.run("REFRESH MATERIALIZED VIEW ml.tom_features_v1_mv")
    nights.good("monday")
    nights.database.run("REFRESH MATERIALIZED VIEW ml.tom_features_v1_mv")
    assert "ml.tom_features_v1_mv was rewritten since it was certified" in nights.refusal(_TOM)


def test_sources_that_are_materialized_views_of_yours_need_no_certificate(
    sources_db, store_files, settings
):
    """They are read like tables. F1, which reads the images, is a plain view."""
    for source in ('"iPhone".iphone_ai_enrich', "feature_store.device_image_features_unified_v1"):
        sources_db.run(
            f"ALTER TABLE {source} RENAME TO near",
            f"CREATE MATERIALIZED VIEW {source} AS SELECT * FROM {source.partition('.')[0]}.near",
        )
    connection, limits = sources_db.connection, read_limits(settings.include_dir, accepted=False)
    apply(connection, store_files, settings)
    nights = CertifiedNights(sources_db, store_files, settings)
    for run in ("monday", "tuesday"):
        check_ready(connection, store_files, settings)
        check_sources(connection, store_files, limits)
        lease = nights.begin(run)
        nights.refresh(lease)
        nights.checked(lease)
        nights.certify(lease)
        assert nights.required(_TOM) == nights.required(_DEVICE) == ("2026-06-30", run)
        sources_db.run('REFRESH MATERIALIZED VIEW "iPhone".iphone_ai_enrich')
        assert nights.required(_TOM) == ("2026-06-30", run)


class TestAConcurrentRefreshByHand:
    """Such a refresh keeps the view's file, and leaves nothing in our record."""

    @pytest.fixture
    def monday(self, refreshed):
        """A certified store, with a source of one view changed after that."""
        lease = refreshed.begin("monday")
        refreshed.refresh(lease)
        refreshed.checked(lease)
        refreshed.certify(lease)
        return refreshed

    def test_its_rows_are_refused(self, monday):
        monday.database.run('UPDATE "iPhone".iphone_ai_enrich SET first_owner = NOT first_owner')
        monday.database.run(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {_E_AI}")
        assert monday.refusal(_TOM) == (
            f"NOT CERTIFIED: {_E_AI} was refreshed by hand since it was certified"
        )
        assert monday.refusal(_DEVICE) == monday.refusal(_TOM), "its t0 stands there"

    def test_one_that_changed_nothing_and_a_grant_are_let_pass(self, monday, new_role):
        monday.database.run(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {_E_AI}")
        monday.database.run(f"GRANT SELECT ON {_F2} TO {new_role()}")
        assert monday.required(_TOM)
        assert monday.required(_DEVICE)

    def test_nobody_waits_for_a_layer_that_is_being_written_anew(self, monday, new_role):
        monday.database.run(f"GRANT SELECT ON {_A}, {_E_AI} TO {new_role()}")
        patience = monday.database.value("SHOW lock_timeout")
        with monday.database.session() as other, other.transaction():
            other.execute(f"REFRESH MATERIALIZED VIEW {_A}")
            assert "somebody holds a lock on it" in monday.refusal(_TOM)
            assert monday.database.value("SHOW lock_timeout") == patience

    def test_whoever_asks_keeps_no_lock_on_what_they_may_not_even_read(self, monday, new_role):
        """A reload of a source, or a refresh, would wait until their transaction ends."""
        monday.database.run(f"GRANT SELECT ON {_A}, {_E_AI} TO {new_role()}")  # looks at rows, too
        with monday.database.session() as reader, reader.transaction():
            for name, schema in ((_TOM, "ml"), (_DEVICE, "feature_store")):
                reader.execute(f"SELECT {schema}.require_certified(%s, '1 day')", (name,))
            held = monday.database.rows(
                "SELECT DISTINCT c.relname FROM pg_locks AS l "
                "INNER JOIN pg_class AS c ON l.relation = c.oid "
                "INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid WHERE l.pid = %s "
                "AND n.nspname NOT IN ('pg_catalog', 'feature_store_audit')",
                reader.info.backend_pid,
            )
        assert {name for (name,) in held if not name.startswith("feature_set")} == set()

    def test_where_the_guard_may_not_look_it_says_what_is_missing(self, monday, new_role):
        monday.database.run(f"ALTER MATERIALIZED VIEW {_E_AI} OWNER TO {new_role()}")
        assert monday.refusal(_TOM) == (
            f"NOT CERTIFIED: {_E_AI} was altered or refreshed by hand since it was certified, "
            "and feature_store_owner may not look at its rows"
        )

    def test_the_next_certification_need_not_look_at_rows_again(self, monday, new_role):
        monday.database.run(f"GRANT SELECT ON {_E_AI} TO {new_role()}")
        tuesday = monday.begin("tuesday")
        monday.database.run(
            "INSERT INTO feature_store_audit.reuse_log "
            "(dag_id, run_id, relation, refresh_id, reason) "
            "SELECT dag_id, 'tuesday', relation, refresh_id, 'x' "
            "FROM feature_store_audit.latest_refresh"
        )
        monday.checked(tuesday)
        altered = "SELECT is_altered FROM feature_store_audit.layer_now WHERE relation = %s"
        assert monday.database.value(altered, _E_AI)
        assert "is still in place." in certified_in_words(monday.database.connection)
        monday.certify(tuesday)
        assert not monday.database.value(altered, _E_AI)
        assert monday.required(_TOM) == ("2026-06-30", "tuesday")

    def test_what_leaves_the_rows_as_they_are_hinders_no_verdict(self, refreshed, new_role):
        lease = refreshed.begin("monday")
        refreshed.refresh(lease)
        refreshed.checked(lease)
        refreshed.database.run(f"GRANT SELECT (listing_id) ON {_E_AI} TO {new_role()}")
        refreshed.certify(lease)
        assert refreshed.required(_TOM)

    def test_before_the_verdict_its_rows_are_not_certified(self, refreshed):
        lease = refreshed.begin("monday")
        refreshed.refresh(lease)
        refreshed.checked(lease)
        refreshed.database.run('UPDATE "iPhone".iphone_ai_enrich SET first_owner = NOT first_owner')
        refreshed.database.run(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {_E_AI}")
        with pytest.raises(NotReady, match=f"{_E_AI} .* not those that this run proved"):
            refreshed.certify(lease)


def test_a_run_whose_record_is_lost_certifies_nothing_and_says_so(nights):
    lease = nights.begin("monday")
    nights.refreshed(lease)
    nights.checked(lease)
    nights.database.run("DELETE FROM feature_store_audit.run_log")
    with pytest.raises(NotReady, match="It has no record"):
        nights.certify(lease)


def test_what_was_not_written_is_not_told_as_certified(scratch, store_files, settings):
    """The database may lose a row, or write one that joins nothing."""
    nights = CertifiedNights(scratch, store_files, settings)
    scratch.run(
        "CREATE OR REPLACE FUNCTION feature_store_audit.certify(p_token bigint, p_relations text[])"
        " RETURNS SETOF text LANGUAGE sql AS $$ SELECT 'x'::text WHERE false $$"
    )
    with pytest.raises(NotReady, match="its record says otherwise: None, with 0 of"):
        nights.good("monday")


def test_an_old_run_does_not_become_young_by_its_last_task_alone(nights):
    monday = nights.good("monday")
    nights.database.run(
        "UPDATE feature_store_audit.refresh SET finished_at = finished_at - interval '3 days'"
    )
    nights.database.run(
        "UPDATE feature_store_audit.expectation_log SET checked_at = checked_at - interval '3 days'"
    )
    nights.certify(monday)
    assert "CERTIFICATION TOO OLD" in nights.refusal(_TOM, "30 hours")
    nights.checked(monday, "spam_absence")
    nights.certify(monday)
    assert "CERTIFICATION TOO OLD" in nights.refusal(_TOM, "30 hours"), "by one suite alone"


@pytest.mark.parametrize("outcome", ["met", "broken"])
def test_an_old_run_does_not_overrule_one_that_checked_later(nights, outcome):
    """The later run found nothing to refresh, so the rows are still the old run's."""
    nights.good("monday")
    nights.checked(nights.begin("tuesday"), outcome=outcome, relation=_E)
    # Clearing only a run's last task does not make prepare open its record anew.
    holder = RunKey("feature_store_refresh", "monday")
    monday = take_lease(nights.database.connection, holder, lambda _: True, timedelta(0))
    with pytest.raises(NotReady, match="Run tuesday has checked the store since"):
        nights.certify(monday)


def test_what_an_old_run_found_is_not_held_against_rows_that_were_proven_since(nights):
    monday = nights.begin("monday")
    nights.refreshed(monday)
    nights.checked(monday, "uniqueness", outcome="broken", relation=_F2)
    nights.good("tuesday")
    revoke(nights.database.connection, monday.holder)
    assert nights.required(_DEVICE) == ("2026-06-30", "tuesday")


def test_what_an_old_run_found_of_the_same_rows_is_not_held_against_what_a_later_run_certified(
    nights,
):
    """The rows were right, and what they were compared with was mended; then the old run's last
    task was cleared."""
    monday = nights.begin("monday")
    nights.refreshed(monday)
    nights.checked(monday, "uniqueness", outcome="broken", relation=_F2)
    tuesday = nights.begin("tuesday")
    nights.database.run(
        "INSERT INTO feature_store_audit.reuse_log (dag_id, run_id, relation, refresh_id, reason) "
        "SELECT dag_id, 'tuesday', relation, refresh_id, 'x' "
        "FROM feature_store_audit.latest_refresh"
    )
    nights.checked(tuesday)
    nights.certify(tuesday)
    revoke(nights.database.connection, monday.holder)
    assert nights.required(_DEVICE) == ("2026-06-30", "tuesday")


def test_what_a_run_found_before_it_began_anew_holds_until_it_finds_it_met(nights):
    nights.good("monday")
    tuesday = nights.begin("tuesday")
    nights.checked(tuesday, "uniqueness", outcome="broken", relation=_F2)
    nights.begin("tuesday")
    revoke(nights.database.connection, tuesday.holder)
    assert nights.refusal(_DEVICE) == f"NOT CERTIFIED: {_F2} was found broken by run tuesday"
    nights.checked(tuesday, "uniqueness")
    assert nights.required(_DEVICE) == ("2026-06-30", "monday")


@pytest.mark.parametrize("age", [None, "-1 hour"])
def test_a_max_age_that_means_nothing_is_refused(nights, age):
    nights.good("monday")
    assert "expected an interval" in nights.refusal(_TOM, age)


def test_an_unknown_set_is_refused(nights):
    assert nights.refusal("tom_features_v9") == "feature_set tom_features_v9 not found"


def test_a_reader_needs_no_privilege_on_the_audit_schema(store_db, store_files, settings, new_role):
    CertifiedNights(store_db, store_files, settings).good("monday")
    reader = new_role()
    store_db.run(
        f"GRANT USAGE ON SCHEMA ml TO {reader}",
        f"GRANT EXECUTE ON FUNCTION ml.require_certified(text, interval) TO {reader}",
    )
    with store_db.session(reader) as connection:
        row = connection.execute(
            f"SELECT run_id FROM ml.require_certified('{_TOM}', '1 day')"
        ).fetchone()
        assert row == ("monday",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT 1 FROM feature_store_audit.certified")


def test_a_run_that_found_everything_unchanged_certifies_what_is_there(nights):
    nights.good("monday")
    tuesday = nights.begin("tuesday", day="2026-07-01")
    nights.database.run(
        "INSERT INTO feature_store_audit.reuse_log (dag_id, run_id, relation, refresh_id, reason) "
        f"SELECT '{tuesday.holder.dag_id}', 'tuesday', relation, refresh_id, 'unchanged' "
        "FROM feature_store_audit.latest_refresh"
    )
    nights.checked(tuesday)
    nights.certify(tuesday)
    assert nights.required(_TOM) == ("2026-07-01", "tuesday")


class TestWhatARunMayCertify:
    def refusal(self, nights, lease) -> str:
        with pytest.raises(NotReady) as caught:
            nights.certify(lease)
        assert read_certified(nights.database.connection) == {}
        return caught.value.problem

    def test_not_what_another_run_refreshed(self, nights):
        monday = nights.begin("monday")
        nights.refreshed(monday)
        tuesday = nights.begin("tuesday")
        nights.refreshed(tuesday, _E)
        nights.checked(tuesday)
        problem = self.refusal(nights, tuesday)
        assert f"{_F2} was last refreshed by run monday, not by this run." in problem
        assert _E not in problem

    def test_not_what_was_refreshed_after_it_was_checked(self, nights):
        monday = nights.begin("monday")
        nights.refreshed(monday)
        nights.checked(monday)
        nights.refreshed(monday, _E)
        assert "The suite uniqueness has not been checked since" in self.refusal(nights, monday)

    def test_not_without_every_suite(self, nights):
        monday = nights.begin("monday")
        nights.refreshed(monday)
        nights.checked(monday, "uniqueness", "spam_absence")
        assert self.refusal(nights, monday).splitlines()[1:] == [
            "  - The suite as_of_counts has not been checked since the last refresh."
        ]

    @pytest.mark.parametrize("outcome", ["broken", "error"])
    def test_not_with_a_critical_finding(self, nights, outcome):
        monday = nights.begin("monday")
        nights.refreshed(monday)
        nights.checked(monday, "uniqueness", "spam_absence")
        nights.checked(monday, "as_of_counts", outcome=outcome)
        assert "as_of_counts has critical findings: 1." in self.refusal(nights, monday)

    def test_not_without_the_lease(self, nights):
        monday = nights.begin("monday")
        nights.refreshed(monday)
        nights.checked(monday)
        nights.begin("tuesday")
        with pytest.raises(LeaseTaken):
            nights.certify(monday)

    @pytest.mark.parametrize(
        ("table", "what"),
        [
            ("refresh", f"{_E} was refreshed in the time zone Asia/Tokyo, but the run answers"),
            ("suite_log", "The suite uniqueness was checked in the time zone Asia/Tokyo, but"),
        ],
    )
    def test_not_what_was_made_or_checked_in_the_days_of_another_zone(self, nights, table, what):
        """Its sales of an earlier day may be of t0's own day in the run's zone."""
        monday = nights.begin("monday")
        nights.refreshed(monday)
        nights.checked(monday)
        rows = f"relation = '{_E}'" if table == "refresh" else "suite = 'uniqueness'"
        nights.database.run(
            f"UPDATE feature_store_audit.{table} SET zone = 'Asia/Tokyo' WHERE {rows}"
        )
        assert self.refusal(nights, monday).splitlines()[1].startswith(f"  - {what}")

    def test_not_in_a_session_of_another_zone(self, nights):
        monday = nights.begin("monday")
        nights.refreshed(monday)
        nights.checked(monday)
        nights.database.run("SET TimeZone = 'Asia/Tokyo'")
        assert "This session works in the time zone Asia/Tokyo" in self.refusal(nights, monday)

    def test_not_a_plain_view_that_was_replaced_after_it_was_checked(self, nights):
        monday = nights.begin("monday")
        nights.refreshed(monday)
        nights.checked(monday, "as_of_counts")
        with _another_query(nights, _F3):
            nights.checked(monday, "uniqueness", "spam_absence")
            assert self.refusal(nights, monday).splitlines()[1:] == [
                f"  - The suite as_of_counts was checked while {_F3} had another query than now."
            ]

    def test_not_rows_of_a_plain_view_that_was_wrong_while_they_were_made(self, refreshed):
        """Also where it was put right before anybody looked."""
        monday = refreshed.begin("monday")
        names = [str(relation.name) for relation in refreshed.store.refreshed]
        at = names.index(_COUNTS)
        refreshed.refresh(monday, *names[:at])
        with _another_query(refreshed, _F1):
            refreshed.refresh(monday, _COUNTS)
        refreshed.refresh(monday, *names[at + 1 :])
        refreshed.checked(monday)
        problem = self.refusal(refreshed, monday)
        assert f"{_COUNTS} was refreshed while {_F1} had another query than now." in problem
        assert len(problem.splitlines()) == 2

    def test_not_rows_that_were_made_before_those_that_they_read(self, refreshed):
        """The labels have the t0s of an earlier A, and no history of theirs would show it."""
        monday = refreshed.begin("monday")
        names = [str(relation.name) for relation in refreshed.store.refreshed]
        refreshed.refresh(monday, *names)
        refreshed.database.run(_EARLIER)
        refreshed.refresh(monday, *(name for name in names if name != _LABELS))
        refreshed.checked(monday)
        assert self.refusal(refreshed, monday).splitlines()[1:] == [
            f"  - {_LABELS} has not read the latest rows of {_A}."
        ]

    @pytest.mark.parametrize("unknown", ["inputs = NULL", "outcome = NULL"])
    def test_not_rows_of_which_nobody_knows_what_they_read_if_that_was_refreshed_since(
        self, refreshed, unknown
    ):
        monday = refreshed.begin("monday")
        names = [str(relation.name) for relation in refreshed.store.refreshed]
        refreshed.refresh(monday, *names)
        refreshed.refresh(monday, *(name for name in names if name != _LABELS))
        refreshed.database.run(f"UPDATE feature_store_audit.refresh SET {unknown}")
        refreshed.checked(monday)
        assert f"{_LABELS} has not read the latest" in self.refusal(refreshed, monday)

    def test_not_rows_of_another_refresh_that_ended_at_the_same_time(self, refreshed):
        """Two tasks of a run may work at once: the later number has the earlier rows."""
        monday = refreshed.begin("monday")
        names = [str(relation.name) for relation in refreshed.store.refreshed]
        refreshed.refresh(monday, *names)
        (before,) = refreshed.database.rows(_READ_BY_LABELS)[0]
        refreshed.database.run(_EARLIER)
        refreshed.refresh(monday, *names)
        refreshed.database.run(
            f"UPDATE feature_store_audit.refresh SET inputs = inputs || jsonb_build_object('{_A}', "
            f"'{before}') WHERE relation = '{_LABELS}'"
        )
        refreshed.checked(monday)
        assert f"{_LABELS} has not read the latest" in self.refusal(refreshed, monday)

    def test_rows_that_a_later_refresh_left_as_they_were_need_not_be_read_again(self, refreshed):
        monday = refreshed.begin("monday")
        refreshed.refresh(monday, *(str(r.name) for r in refreshed.store.refreshed))
        refreshed.refresh(monday, _E)
        refreshed.checked(monday)
        refreshed.certify(monday)
        assert read_certified(refreshed.database.connection)

    def test_not_columns_that_changed_places(self, nights):
        monday = nights.begin("monday")
        nights.refreshed(monday)
        nights.checked(monday)
        with _swapped(nights):
            assert f"as_of_counts was checked while {_E_AI} had" in self.refusal(nights, monday)

    def test_not_what_was_checked_by_proofs_that_were_stamped_afterwards(self, nights):
        monday = nights.begin("monday")
        nights.refreshed(monday)
        nights.checked(monday)
        nights.database.run(
            "INSERT INTO feature_store_audit.proof_inventory_log (proofs) "
            "SELECT proofs FROM feature_store_audit.proof_inventory"
        )
        problem = self.refusal(nights, monday)
        assert problem.count("The proofs were stamped anew after the suite") == 3


@pytest.mark.parametrize("layer", ["ml.tom_train_base_v1_mv", _LABELS])
def test_labels_that_no_run_has_proven_are_refused_with_their_set(nights, layer):
    """A model is trained on both."""
    nights.good("monday")
    assert nights.required(_TOM)
    nights.database.run(f"REFRESH MATERIALIZED VIEW {layer} WITH NO DATA")
    assert f"NOT CERTIFIED: {layer} was rewritten" in nights.refusal(_TOM)
    told = certified_in_words(nights.database.connection)
    assert f"require_certified raises for {_DEVICE}, {_TOM}: {layer} was rewritten" in told


class TestAPlainViewOfACertifiedSet:
    @pytest.fixture
    def monday(self, nights):
        nights.good("monday")
        return nights

    @pytest.mark.parametrize("view", [_F3, _F1])
    def test_with_another_query_its_set_is_refused(self, monday, view):
        with _another_query(monday, view):
            told = f"NOT CERTIFIED: {view} has another query than the one that was certified"
            assert monday.refusal(_DEVICE) == told
            assert monday.required(_TOM)
        assert monday.required(_DEVICE)

    def test_below_a_materialized_view_another_query_leaves_the_proven_rows_as_they_are(
        self, monday
    ):
        with _another_query(monday, "ml.tom_speed_cohort_v1"):
            assert monday.required(_TOM)

    def test_whoever_asks_and_whatever_their_session_says_the_query_is_the_same(self, monday):
        monday.database.run(
            "SET TimeZone = 'Asia/Tokyo'", "SET DateStyle = 'German'", "SET search_path = ml",
            "SET quote_all_identifiers = on",
        )  # fmt: skip
        assert monday.required(_DEVICE)

    def test_found_broken_its_set_is_refused_until_a_run_certifies_it_again(self, monday):
        tuesday = monday.begin("tuesday")
        monday.checked(tuesday, "as_of_counts", outcome="broken", relation=_F3)
        told = f"NOT CERTIFIED: {_F3} was found broken by run tuesday"
        assert monday.refusal(_DEVICE) == told
        assert monday.required(_TOM)
        monday.good("wednesday")
        assert monday.required(_DEVICE)

    def test_found_broken_by_a_try_that_was_made_again_it_is_not(self, monday):
        tuesday = monday.begin("tuesday")
        monday.checked(tuesday, "as_of_counts", outcome="broken", relation=_F3)
        monday.checked(tuesday, "as_of_counts")
        assert monday.required(_DEVICE)

    def test_found_broken_it_stays_so_when_the_run_is_cleared(self, monday):
        tuesday = monday.begin("tuesday")
        monday.checked(tuesday, "as_of_counts", outcome="broken", relation=_F3)
        monday.begin("tuesday")
        assert f"{_F3} was found broken by run tuesday" in monday.refusal(_DEVICE)

    def test_found_broken_it_stays_so_after_a_try_that_could_not_look(self, monday):
        tuesday = monday.begin("tuesday")
        monday.checked(tuesday, "as_of_counts", outcome="broken", relation=_F3)
        monday.checked(tuesday, "as_of_counts", outcome="error", relation=_F3)
        assert f"{_F3} was found broken by run tuesday" in monday.refusal(_DEVICE)

    def test_columns_that_changed_places_are_refused(self, monday):
        with _swapped(monday):
            assert f"{_E_AI} has another query" in monday.refusal(_TOM)


@contextmanager
def _another_query(nights, view):
    """Replace a plain view by one that gives the same rows, and put it back."""
    query = nights.database.value(f"SELECT pg_get_viewdef('{view}'::regclass)").rstrip("; ")
    replace = f"CREATE OR REPLACE VIEW {view} AS "
    nights.database.run(f"{replace} SELECT * FROM ({query}) AS w WHERE TRUE")
    try:
        yield
    finally:
        nights.database.run(f"{replace} {query}")


@contextmanager
def _swapped(nights):
    """Two columns of E-AI under each other's name."""
    view = f"ALTER MATERIALIZED VIEW {_E_AI} RENAME COLUMN"
    nights.database.run(
        f"{view} ai_ship_can TO x", f"{view} ai_ship_pickup TO ai_ship_can",
        f"{view} x TO ai_ship_pickup",
    )  # fmt: skip
    yield
