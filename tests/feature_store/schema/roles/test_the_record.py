"""What the record's functions and logs refuse to the roles that may use them."""

from __future__ import annotations

from datetime import date, timedelta

import psycopg
import pytest

from feature_store.audit.lease import RunKey, take_lease
from feature_store.audit.runs import open_run
from feature_store.errors import NotReady
from feature_store.schema.apply import apply
from feature_store.validation.certification import certify
from sandbox.roles import OWNER, REFRESHER, REVIEWER, grant_roles
from tests.feature_store.schema.roles.governed import (
    E_AI,
    A,
    Governed,
    open_review,
    refusal,
)


def test_the_refresher_cannot_accept_by_saying_that_something_was_closed(
    certified: Governed,
) -> None:
    with certified.session() as connection, connection.transaction(force_rollback=True):
        found = open_review(connection, "1999-02-02", "leak")
        connection.execute(f"SET LOCAL ROLE {REFRESHER}")
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(
                "INSERT INTO feature_store_audit.history_closing_log (finding_id, outcome) "
                "VALUES (%s, 'accepted')",
                (found,),
            )


def test_the_refresher_cannot_move_the_baseline_of_a_day_that_is_open(certified: Governed) -> None:
    with certified.session() as connection, connection.transaction(force_rollback=True):
        open_review(connection, "1999-02-02", "leak")
        connection.execute(f"SET LOCAL ROLE {REFRESHER}")
        lease = take_lease(connection, RunKey("x", "x"), lambda _: True, timedelta(0))
        with pytest.raises(psycopg.errors.RaiseException, match="1999-02-02 of A is open"):
            connection.execute(
                "SELECT feature_store_audit.move_baseline(%s, 'A', '{1999-02-02}', '{1}', '{x}')",
                (lease.token,),
            )


def test_nobody_certifies_what_the_record_does_not_prove(certified: Governed) -> None:
    with certified.session() as connection, connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL ROLE {REFRESHER}")
        lease = take_lease(connection, RunKey("x", "forger"), lambda _: True, timedelta(0))
        with pytest.raises(NotReady) as caught:
            certify(connection, lease, certified.files, [])
        told = caught.value.problem
        assert "It has no record: prepare has not opened one." in told
        assert f"{E_AI} was last refreshed by run second, not by this run." in told
        assert "The suite uniqueness has not been checked since the last refresh." in told
        written = connection.execute(
            "SELECT count(*) FROM feature_store_audit.certification_log WHERE run_id = 'forger'"
        ).fetchone()
        assert written == (0,)


def test_a_baseline_is_not_begun_anew_without_a_trace(certified: Governed) -> None:
    """It closes what was open about the layer, so that one can see that it was done, and when."""
    with certified.session() as connection, connection.transaction(force_rollback=True):
        leak = open_review(connection, "1999-02-02", "leak")
        connection.execute(f"SET LOCAL ROLE {REFRESHER}")
        lease = take_lease(connection, RunKey("x", "quiet"), lambda _: True, timedelta(0))
        connection.execute(
            "SELECT feature_store_audit.begin_baseline(%s, 'A', %s, '{}', '')", (lease.token, A)
        )
        found = connection.execute(
            "SELECT finding_id = %s, kind, outcome FROM feature_store_audit.history_finding "
            "WHERE layer = 'A' AND (finding_id = %s OR run_id = 'quiet') ORDER BY finding_id",
            (leak, leak),
        ).fetchall()
    assert found == [(True, "leak", "redefined"), (False, "definition", "reported")]


def test_a_day_is_accepted_with_a_name_and_a_reason(certified: Governed) -> None:
    accept = "SELECT feature_store_audit.accept_history('1999-01-01', NULL, {}, {})"
    for by, reason in (("'ann'", "E'\t'"), ("E'\n'", "'late'"), ("NULL", "'late'")):
        assert refusal(certified, REVIEWER, accept.format(by, reason)) == "22023"


def test_what_a_superuser_applies_is_the_owner_s(certified: Governed) -> None:
    """Else the record's functions would run with all privileges of a superuser."""
    certified.run("DROP FUNCTION ml.store_freshness(interval)")
    with certified.session() as connection:
        apply(connection, certified.files, certified.settings)
        owner = connection.execute(
            "SELECT pg_get_userbyid(proowner), current_user FROM pg_proc "
            "WHERE oid = 'ml.store_freshness(interval)'::regprocedure"
        ).fetchone()
    assert owner == (OWNER, "postgres")
    grant_roles(certified.conninfo)


def test_a_function_of_the_record_that_is_a_superuser_s_is_refused(certified: Governed) -> None:
    certify_it = "FUNCTION feature_store_audit.certify(bigint,text[])"
    certified.run(f"ALTER {certify_it} OWNER TO postgres")
    try:
        (problem,) = certified.problems(REFRESHER)
        assert f"{certify_it} belongs to postgres" in problem
        certified.run(problem.partition("Next: ")[2])
        assert certified.problems(REFRESHER) == []
    finally:
        certified.run(f"ALTER {certify_it} OWNER TO {OWNER}")
        grant_roles(certified.conninfo)


def test_nobody_works_under_a_lease_that_is_not_his(certified: Governed) -> None:
    under = [
        "begin_baseline(-1, 'A', 'x', '{}', 'x')",
        f"certify_and_log(-1, '{{{A}}}', '{{}}')",
        f"refresh_view(-1, '{A}', false)",
        "drop_changes(-1, 'A', '{}')",
        "keep_said(-1, 'A', '{}', '{}', '{}', '{}', '{}')",
        "keep_seen(-1, 'A', '{}')",
        "move_baseline(-1, 'A', '{}', '{}', '{}')",
        "accept_backfill_day(-1)",
        "take_lease('x', 'x', -1)",
    ]
    states = {s: refusal(certified, REFRESHER, f"SELECT feature_store_audit.{s}") for s in under}
    assert set(states.values()) == {"55000"}, states


def test_a_backfill_accepts_reviews_of_its_own_day_and_nothing_else(certified: Governed) -> None:
    holder = RunKey("x", "backfill")
    with certified.session() as connection, connection.transaction(force_rollback=True):
        mine = open_review(connection, "1999-03-03")
        open_review(connection, "1999-03-04")
        open_review(connection, "1999-03-03", "leak")
        connection.execute(f"SET LOCAL ROLE {REFRESHER}")
        lease = take_lease(connection, holder, lambda _: True, timedelta(0))
        ask = "SELECT * FROM feature_store_audit.accept_backfill_day(%s)"
        open_run(connection, holder, "manual", date(1999, 3, 3), "UTC")
        assert connection.execute(ask, (lease.token,)).fetchall() == []
        open_run(connection, holder, "backfill", date(1999, 3, 3), "UTC")
        assert connection.execute(ask, (lease.token,)).fetchall() == [(mine,)]


def test_nobody_certifies_a_leak_that_is_open(certified: Governed) -> None:
    with certified.session() as connection, connection.transaction(force_rollback=True):
        open_review(connection, "1999-02-02", "leak")
        connection.execute(f"SET LOCAL ROLE {REFRESHER}")
        holder = RunKey("tests", "second")
        lease = take_lease(connection, holder, lambda _: True, timedelta(0))
        with pytest.raises(NotReady, match=f"{A} of 1999-02-02 leaks"):
            certify(connection, lease, certified.files, [])


def test_certify_runs_nothing_of_a_view_outside_the_store(certified: Governed) -> None:
    """Planning a query evaluates a table's extended statistics, with the rights of the caller."""
    certified.run(
        "CREATE SCHEMA mallory",
        "CREATE TABLE mallory.ran (who text)",
        "CREATE FUNCTION mallory.act(integer) RETURNS boolean LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO mallory.ran VALUES (current_user); RETURN true; END'",
        "CREATE DOMAIN mallory.trap AS integer CHECK (mallory.act(VALUE))",
        "CREATE FUNCTION mallory.evil() RETURNS mallory.trap IMMUTABLE LANGUAGE plpgsql "
        "AS 'BEGIN RETURN 1; END'",
        "CREATE MATERIALIZED VIEW mallory.view AS SELECT 1 AS x",
        "CREATE STATISTICS mallory.stats ON (mallory.evil() + x), x FROM mallory.view",
        "GRANT USAGE ON SCHEMA mallory TO public",
        "GRANT ALL ON ALL TABLES IN SCHEMA mallory TO public",
    )
    try:
        with certified.session() as connection, connection.transaction(force_rollback=True):
            connection.execute("DELETE FROM mallory.ran")
            connection.execute(f"SET LOCAL ROLE {REFRESHER}")
            lease = take_lease(connection, RunKey("x", "x"), lambda _: True, timedelta(0))
            connection.execute(
                "INSERT INTO feature_store_audit.refresh (relation, dag_id, run_id, token, "
                "mode, row_count, bytes, seconds, zone, outcome) VALUES ('mallory.view', 'x', "
                "'x', %s, 'blocking', 1, 1, 1, 'UTC', 'x')",
                (lease.token,),
            )
            told = connection.execute(
                "SELECT * FROM feature_store_audit.certify_and_log(%s, '{mallory.view}', '{}')",
                (lease.token,),
            ).fetchall()
            ran = connection.execute("SELECT who FROM mallory.ran").fetchall()
        assert ran == []
        assert ("mallory.view is no materialized view of the store.",) in told
    finally:
        certified.run("DROP SCHEMA mallory CASCADE")


def test_the_lease_does_not_change_hands_under_who_works(certified: Governed) -> None:
    with certified.session(REFRESHER) as worker, worker.transaction():
        (token,) = worker.execute(
            "SELECT token FROM feature_store_audit.lease FOR KEY SHARE"
        ).fetchone() or (0,)
        with certified.session(REFRESHER) as other:
            other.execute("SET lock_timeout = '100ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("SELECT feature_store_audit.take_lease('x', 'x', %s)", (token,))


def test_what_was_accepted_stays_what_it_was(certified: Governed) -> None:
    seen = (
        "SELECT rows_came, details, outcome FROM feature_store_audit.history_finding "
        "WHERE day = '1999-02-02'"
    )
    with certified.session() as connection, connection.transaction(force_rollback=True):
        found = open_review(connection, "1999-02-02", "leak")
        connection.execute(
            "SELECT feature_store_audit.accept_history('1999-02-02', NULL, 'ann', 'known')"
        )
        connection.execute(f"SET LOCAL ROLE {REFRESHER}")
        connection.execute(
            "INSERT INTO feature_store_audit.history_sighting_log (finding_id, rows_came, "
            "rows_went, rows_changed, changed_columns, examples, reaches, details, row_count, "
            "dag_id, run_id) VALUES (%s, 9, 9, 9, '{}', '[]', '[]', 'forged', 0, 'x', 'x')",
            (found,),
        )
        assert connection.execute(seen).fetchall() == [(1, "", "accepted")]


def test_nothing_waits_for_a_person_that_no_person_can_accept(certified: Governed) -> None:
    assert (
        refusal(
            certified,
            REFRESHER,
            "INSERT INTO feature_store_audit.history_finding_log "
            "(kind, layer, relation, day, dag_id, run_id) "
            f"VALUES ('leak', 'A', '{A}', NULL, 'x', 'x')",
        )
        == "23514"
    )


def test_what_was_done_under_an_old_run_s_name_is_not_old(certified: Governed) -> None:
    with certified.session() as connection, connection.transaction(force_rollback=True):
        open_run(connection, RunKey("x", "old"), "manual", date(1999, 3, 3), "UTC")
        connection.execute(
            "UPDATE feature_store_audit.run_log SET prepared_at = now() - interval '40 days' "
            "WHERE run_id = 'old'"
        )
        connection.execute(f"SET LOCAL ROLE {REFRESHER}")
        connection.execute(
            "INSERT INTO feature_store_audit.suite_log (dag_id, run_id, suite) "
            "VALUES ('x', 'old', 'uniqueness')"
        )
        connection.execute("SELECT feature_store_audit.forget(30)")
        left = connection.execute(
            "SELECT count(*) FROM feature_store_audit.suite_log WHERE run_id = 'old'"
        ).fetchone()
    assert left == (1,)
