"""Errors in words for people, and whether another try can help."""

from __future__ import annotations

import psycopg
import pytest

from feature_store.errors import (
    BadInput,
    CannotConnect,
    ContractBroken,
    LeaseTaken,
    NotReady,
    RunFailed,
    StoreError,
    passes_on_its_own,
)


def test_a_message_says_what_then_what_readers_get_then_what_to_do():
    error = StoreError("It broke.", readers="old rows.", next_step="Mend it.")
    assert str(error) == "It broke.\nReaders: old rows.\nNext: Mend it."


def test_a_message_leaves_out_what_is_not_known():
    assert str(StoreError("It broke.")) == "It broke."
    assert str(StoreError("It broke.", next_step="Mend it.")) == "It broke.\nNext: Mend it."


@pytest.mark.parametrize("kind", [BadInput, NotReady, ContractBroken, RunFailed])
def test_what_a_person_must_mend_does_not_pass_on_its_own(kind):
    assert not passes_on_its_own(kind("x"))


@pytest.mark.parametrize("kind", [CannotConnect, LeaseTaken])
def test_a_refused_connection_and_a_taken_lease_pass_on_their_own(kind):
    assert passes_on_its_own(kind("x"))


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyboardInterrupt(), psycopg.ProgrammingError()]
)
def test_what_is_not_of_the_server_does_not_pass_on_its_own(error):
    assert not passes_on_its_own(error)


@pytest.mark.parametrize(
    "name",
    ["57P01", "57P02", "57P03", "55P03", "40001", "40P01", "53300", "53200", "53100", "08006"],
)
def test_these_states_of_the_server_pass_on_their_own(name):
    assert passes_on_its_own(psycopg.errors.lookup(name)())


@pytest.mark.parametrize("name", ["42501", "42P01", "57014", "23505", "22012", "0A000", "55000"])
def test_these_states_of_the_server_do_not(name):
    assert not passes_on_its_own(psycopg.errors.lookup(name)())


def test_a_session_that_the_server_ends_passes_on_its_own(store_db):
    with store_db.session() as victim:
        store_db.value("SELECT pg_terminate_backend(%s)", victim.info.backend_pid)
        with pytest.raises(psycopg.Error) as caught:
            victim.execute("SELECT 1")
        assert passes_on_its_own(caught.value)
        with pytest.raises(psycopg.Error) as after:
            victim.execute("SELECT 1")
        assert passes_on_its_own(after.value)


def test_a_lock_that_does_not_come_in_time_passes_on_its_own(store_db):
    with store_db.session() as blocker, blocker.transaction():
        blocker.execute("LOCK feature_store_audit.lease")
        store_db.run("SET lock_timeout = '10ms'")
        with pytest.raises(psycopg.Error) as caught:
            store_db.rows("SELECT * FROM feature_store_audit.lease")
    assert passes_on_its_own(caught.value)


def test_a_statement_that_takes_too_long_does_not(store_db):
    store_db.run("SET statement_timeout = '10ms'")
    with pytest.raises(psycopg.Error) as caught:
        store_db.rows("SELECT pg_sleep(5)")
    assert not passes_on_its_own(caught.value)
