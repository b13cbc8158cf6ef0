"""Whole runs whose sources are loaded anew while the run is at work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from email import message_from_bytes, policy
from typing import Any

import psycopg
import pytest

from feature_store.connection import Connection
from sandbox.mailbox import Mailbox
from tests.relations import E_AI, E_SPEED, A

from .conftest import Outcome

AI = '"iPhone".iphone_ai_enrich'
_SIGNALS = f"SELECT count(*) FROM {E_AI} WHERE ai_lqs_textonly_f > 0"
Session = Connection


@pytest.mark.refreshed
def test_a_full_reload_in_the_middle_of_a_run_loses_no_signal(
    run_dag: Callable[..., Any], database: str, connection: Session
) -> None:
    before = connection.execute(_SIGNALS).fetchone()

    def reload() -> None:
        with psycopg.connect(database, autocommit=True) as by:
            _wait(by, A)
            with by.transaction():
                by.execute(f"CREATE TABLE public.kept AS TABLE {AI}")
                by.execute(f"TRUNCATE {AI}")
                _wait(by, E_SPEED)
                time.sleep(2)  # until E-AI waits
                by.execute(f"INSERT INTO {AI} TABLE public.kept")

    user = threading.Thread(target=reload)
    user.start()
    run = run_dag(database, refresh_unchanged=True)
    user.join()

    assert run.state == "success"
    assert before != (0,)
    assert connection.execute(_SIGNALS).fetchone() == before


def _wait(session: Session, relation: str) -> None:
    """Wait until a relation was refreshed a second time."""
    for _ in range(1_200):
        row = session.execute(
            "SELECT count(*) FROM feature_store_audit.refresh WHERE relation = %s", (relation,)
        ).fetchone()
        if row and row[0] == 2:
            return
        time.sleep(0.05)
    raise AssertionError(f"{relation} was not refreshed")


@pytest.mark.refreshed
def test_an_emptied_source_stops_the_run_until_a_person_says_that_it_is_meant(
    run_dag: Callable[..., Any],
    database: str,
    connection: Session,
    mailbox: Mailbox,
    first_run: Outcome,
) -> None:
    connection.execute(f"TRUNCATE {AI}")

    run = run_dag(database)

    assert run.tasks["prepare"] == run.state == "failed"
    assert connection.execute(_SIGNALS).fetchone() != (0,)
    assert connection.execute(
        "SELECT run_id FROM ml.require_certified('tom_features_v1', '1 day')"
    ).fetchone() == (first_run.run_id,)
    (path,) = mailbox.alarms()
    subject = message_from_bytes(path.read_bytes(), policy=policy.default)["subject"]
    assert "prepare failed: iPhone.iphone_ai_enrich has 0 rows, 100% fewer than the " in subject

    assert run_dag(database, accept_shrink=True).state == "success"
    assert connection.execute(_SIGNALS).fetchone() == (0,)
    assert run_dag(database, refresh_unchanged=True).state == "success"
