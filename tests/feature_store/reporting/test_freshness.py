"""Freshness: it notices what sends no mail, such as a scheduler that is down or a lost DAG."""

from __future__ import annotations

import psycopg
import pytest

from feature_store.declarations.store_profile import read_profile
from feature_store.errors import BadInput, NotReady
from feature_store.reporting.freshness import read_freshness, staleness
from feature_store.schema.apply import apply
from feature_store.settings import Settings
from tests.feature_store.refresh.certified import CertifiedNights

_PROFILE = read_profile(Settings().include_dir)
_TOM, _DEVICE = "tom_features_v1", "iphone_device_meta_encoded_v2_model"


@pytest.fixture
def nights(store_db, store_files, settings):
    return CertifiedNights(store_db, store_files, settings)


def require_fresh(connection, max_age):
    """As `bin/feature-store freshness` does."""
    found = read_freshness(connection, max_age, _PROFILE)
    if stale := staleness(found, max_age):
        raise stale
    return found


def _aged(nights, age: str) -> None:
    nights.database.run(
        f"UPDATE feature_store_audit.certification_log SET certified_at = now() - interval '{age}'"
    )


def test_a_store_certified_lately_is_fresh_and_says_by_which_run(nights):
    nights.good("night 1")
    tom, device = require_fresh(nights.database.connection, "30 hours")
    assert (tom.feature_set, device.feature_set) == (_TOM, _DEVICE)
    assert (tom.ok, tom.readable, tom.problem, tom.run_id) == (True, True, None, "night 1")
    assert str(tom).startswith(f"{_TOM}: certified 20")
    assert str(tom).endswith(" ago, for 2026-06-30, by run night 1")


def test_a_store_that_no_run_certified_for_too_long_is_not(nights):
    nights.good("night 1")
    _aged(nights, "31 hours")
    with pytest.raises(NotReady, match=f"{_TOM}: certified .*, 1 day, 7:00:00 ago") as caught:
        require_fresh(nights.database.connection, "30 hours")
    assert "airflow jobs check" in str(caught.value)
    assert require_fresh(nights.database.connection, "32 hours")


def test_a_moment_that_is_yet_to_come_is_no_age(nights):
    """The server's clock was ahead: what it certified would look young until time caught up."""
    nights.good("night 1")
    _aged(nights, "-1 hour")
    with pytest.raises(NotReady, match="which is yet to come: the clock of this server was ahead"):
        require_fresh(nights.database.connection, "30 hours")
    assert "which is yet to come" in nights.refusal(_TOM)
    nights.good("night 2")
    assert require_fresh(nights.database.connection, "30 hours")


def test_a_run_under_way_is_no_reason_for_an_alarm(nights):
    """Its rows are not certified yet, and the last certification still has its age."""
    nights.good("night 1")
    nights.refreshed(nights.begin("night 2"))
    tom, _ = require_fresh(nights.database.connection, "30 hours")
    assert (tom.ok, tom.readable) == (True, False)
    assert "which has not been certified" in tom.problem


def test_a_run_that_died_with_the_scheduler_is_found_by_the_age(nights):
    nights.good("night 1")
    nights.refreshed(nights.begin("night 2"))
    _aged(nights, "31 hours")
    with pytest.raises(NotReady, match="not readable now: NOT CERTIFIED"):
        require_fresh(nights.database.connection, "30 hours")


def test_a_store_that_was_never_certified_is_not_fresh(nights):
    with pytest.raises(NotReady, match=f"{_TOM}: never certified"):
        require_fresh(nights.database.connection, "30 hours")


def test_without_a_stamped_contract_there_is_one_row_that_says_so(scratch):
    assert scratch.rows("SELECT ok, readable, problem FROM ml.store_freshness('1 day')") == [
        (False, False, "no feature set is active: its contract has never been stamped")
    ]


def test_a_guard_of_before_is_replaced_though_it_gives_fewer_columns(
    store_db, store_files, settings, new_role
):
    role = new_role()
    team = f'"Data-Team {role}"'  # a name that must be quoted
    store_db.run(
        f"CREATE ROLE {team}",
        "DROP FUNCTION ml.store_freshness(interval)",
        "CREATE FUNCTION ml.store_freshness(p_max_age interval) RETURNS TABLE (ok boolean) "
        "LANGUAGE sql AS 'SELECT true'",
        f"GRANT EXECUTE ON FUNCTION ml.store_freshness(interval) TO {role}, {team}",
    )
    apply(store_db.connection, store_files, settings, ["ml.store_freshness"])
    function = "ml.store_freshness(interval)"
    assert (
        store_db.value(f"SELECT sources_until FROM {function.replace('interval', '%s')}", "1 day")
        is None
    )
    for who, may in ((role, True), (team.strip('"'), True), ("public", False)):
        assert (
            store_db.value("SELECT has_function_privilege(%s, %s, 'EXECUTE')", who, function) is may
        )


def test_without_the_guard_the_next_step_is_to_apply(scratch_sources):
    with pytest.raises(NotReady, match="bin/feature-store apply"):
        require_fresh(scratch_sources.connection, "30 hours")


@pytest.mark.parametrize("age", ["soon", "-1 hour", ""])
def test_an_age_that_is_none_is_refused(scratch, age):
    with pytest.raises(BadInput, match="Give an interval such as '30 hours'"):
        require_fresh(scratch.connection, age)


def test_whoever_watches_needs_the_schema_and_the_function_and_nothing_else(nights, new_role):
    nights.good("night 1")
    role = new_role()
    nights.database.run(
        f"GRANT USAGE ON SCHEMA ml TO {role}",
        f"GRANT EXECUTE ON FUNCTION ml.store_freshness(interval) TO {role}",
    )
    with nights.database.session(role) as monitor:
        query = "SELECT ok, readable FROM ml.store_freshness('30 hours')"
        assert monitor.execute(query).fetchall() == [(True, True)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            monitor.execute("SELECT FROM feature_store_audit.certified")
