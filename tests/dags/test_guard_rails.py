"""A DBA's guard rails and a database's own settings reach no session of a run."""

from __future__ import annotations

from typing import Any

import pytest

from feature_store.connection import Connection
from feature_store.database.session import SUPPORTED_SERVERS
from sandbox.roles import REFRESHER

GUARD_RAILS = {
    "idle_in_transaction_session_timeout": "300ms",
    "idle_session_timeout": "300ms",
    "transaction_timeout": "1s",
    "statement_timeout": "1s",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "exit_on_error": "on",
    "restrict_nonsystem_relation_kind": "view",
    "gin_fuzzy_search_limit": "1",
    "array_nulls": "off",
    "xmloption": "document",
    "backslash_quote": "on",
    "timezone_abbreviations": "India",
    "DateStyle": "German",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "TimeZone": "Pacific/Auckland",
    "search_path": "ml",
    "tcp_user_timeout": "1ms",
}


def set_for_the_refresher(connection: Connection) -> set[str]:
    """Set each guard rail that this server knows, for the refresher; returns all that it knows."""
    known = {name for (name,) in connection.execute("SELECT name FROM pg_settings").fetchall()}
    for name, value in GUARD_RAILS.items():
        if name in known:
            connection.execute(
                f"ALTER ROLE {REFRESHER} IN DATABASE {connection.info.dbname} "
                f"SET {name} = '{value}'".encode()
            )
    return known


@pytest.mark.slow
def test_a_whole_run_refreshes_checks_and_certifies_under_all_of_them(
    run_dag: Any, database: str, connection: Connection
) -> None:
    known = set_for_the_refresher(connection)
    if connection.info.server_version // 10000 == max(SUPPORTED_SERVERS):
        assert set(GUARD_RAILS) <= known  # no name is misspelled
    assert set(run_dag(database).tasks.values()) == {"success"}


@pytest.mark.slow
def test_no_task_is_at_anything_else_for_two_seconds_within_a_transaction(
    run_dag: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEATURE_STORE_IDLE_TRANSACTION_TIMEOUT", "2")
    assert set(run_dag(database).tasks.values()) == {"success"}
