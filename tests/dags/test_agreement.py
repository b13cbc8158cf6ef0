"""All that tells of a run says the same, whatever goes wrong: see `tests.agreement`.

The runs are real. Each fault is made where it happens in the field: as a run is certified, or
around that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from feature_store.connection import Connection
from feature_store.validation import certification
from sandbox.mailbox import Mailbox
from tests import agreement

Session = Connection
REFUSE = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = %s; END $$
"""


def told(run: Any, connection: Session, mailbox: Mailbox) -> dict[str, bool | None]:
    reports = Path(os.environ["AIRFLOW_HOME"]) / "feature_store_reports"
    assert sum(run.run_id in path.read_text() for path in reports.glob("*.html")) == 1
    return agreement.told(run.run_id, run.state, connection, mailbox.alarms(), reports)


@pytest.mark.refreshed
def test_they_agree_that_a_run_passed_and_that_it_did_not(
    run_dag: Callable[..., Any],
    database: str,
    connection: Session,
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = certification.certify

    # In every try the connection breaks just after the run was certified.
    def certify_and_break(session: Session, *rest: Any) -> None:
        real(session, *rest)
        session.execute("COMMIT")
        session.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(certification, "certify", certify_and_break)
    run = run_dag(database)
    assert set(told(run, connection, mailbox).values()) == {True}
    monkeypatch.setattr(certification, "certify", real)

    # The lease cannot be given back: once a run is certified, nothing fails it.
    connection.execute(REFUSE.replace("%s", "'53100'").encode())
    connection.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE ON feature_store_audit.lease FOR EACH ROW "
        "WHEN (NEW.run_id IS NULL) EXECUTE FUNCTION public.refuse()"
    )
    run = run_dag(database)
    assert set(told(run, connection, mailbox).values()) == {True}
    connection.execute("DROP TRIGGER refuse ON feature_store_audit.lease")

    # An error that may pass on its own stays in every try: the last try gives the verdict.
    connection.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON feature_store_audit.certification_log "
        "FOR EACH ROW EXECUTE FUNCTION public.refuse()"
    )
    run = run_dag(database)
    assert set(told(run, connection, mailbox).values()) == {False}
    assert len(mailbox.alarms()) == 1
    lease = connection.execute("SELECT run_id FROM feature_store_audit.lease").fetchone()
    assert lease == (None,)
