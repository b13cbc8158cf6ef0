"""That a mail arrives once, whatever happens, and never changes a run."""

from __future__ import annotations

import json
import logging
import re
import threading
from pathlib import Path

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout

from feature_store.errors import (
    CannotConnect,
    ContractBroken,
    ProofsChanged,
    RunFailed,
)
from feature_store.reporting.mail.compose import Mail
from feature_store.reporting.mail.delivery import deliver
from feature_store.reporting.mail.good_run import mail_reviews
from feature_store.reporting.run.task_causes import CAUSE, leave_cause
from feature_store.settings import read_settings
from sandbox.mailbox import Mailbox
from tests.feature_store.reporting.mail.mails import (
    DAG,
    E_VIEW,
    NOBODY,
    PASSWORD,
    RUN,
    changed_days,
    context,
    differs,
    fail,
    lines,
    only_mail,
    opened,
    parts,
    record,
    refreshed,
)
from tests.mail_servers import SlowMailbox


@pytest.mark.parametrize(
    "end", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028", "\0", "\u202e", "\ud800"]
)
def test_no_data_can_add_a_header(mailbox, monkeypatch, end):
    states = {f"base.x{end}Bcc: eve@example.org": "failed"}
    fail(context(RunFailed("x"), states))
    message = only_mail(mailbox)
    assert message["Bcc"] is None
    assert "base.x" in message["Subject"]
    assert "Bcc: eve@example.org failed" in message["Subject"]


def test_a_mail_arrives_once_with_both_parts(mailbox, airflow_conn, store_db):
    airflow_conn(store_db.conninfo)
    opened(store_db, RUN)
    opened(store_db, "yesterday", "passed")
    refreshed(store_db, E_VIEW, RUN)
    refreshed(store_db, "ml.sold_prices_v1_mv", "yesterday")
    differs(store_db, [{"listing_id": 4711 + n, "title": "<script>"} for n in range(20)])
    record(store_db, "met", expectation="other", expected="all was well")
    fail(context(RunFailed("Failed.", next_step="Mend it.")))
    message = only_mail(mailbox)
    assert message["Subject"].startswith(
        f"feature store 2026-06-30: as_of_counts broken, 23 rows of {E_VIEW} (anchors of"
    )
    assert message["To"] == "Ann <ann@example.org>, bo@example.org"
    assert message["From"] == "store@example.org"
    assert message.get_content_type() == "multipart/alternative"
    text, html = parts(message)
    for part in (text, html):
        assert all(str(4711 + n) in part for n in range(20))
        for words in (
            RUN,
            "23 of 100,000 rows compared differ",
            f"new rows of this run, not certified by it: {E_VIEW}.",
            "rows of earlier refreshes: ml.sold_prices_v1_mv, the newest of 2026-06-29 01:22 UTC.",
            "nothing yet: no run has certified the store. require_certified raises.",
            f"/dags/{DAG}/runs/{RUN}/tasks/expectations.as_of_counts",
            "/feature-store/api/report?dag_id=",
        ):
            assert words in part
        assert "all was well" not in part
        assert str(Path.home()) not in part
    assert "<script>" not in html


def test_with_the_database_down_the_exception_alone_makes_a_mail(mailbox, airflow_conn):
    airflow_conn(f"host=127.0.0.1 port=1 dbname=store user=reader password='{PASSWORD}'")
    error = CannotConnect(
        f"Cannot connect to 127.0.0.1:1/store as reader: {PASSWORD}",
        readers="nothing was changed.",
        next_step="Check the server.",
    )
    fail(context(error, states={}))
    message = only_mail(mailbox)
    assert message["Subject"].startswith(
        "feature store 2026-06-30: Cannot connect to 127.0.0.1:1/store as reader: ***"
    )
    text, html = parts(message)
    assert "Check the server." in text
    assert "nothing was changed. The store could not be asked: Cannot connect to" in html
    for part in (text, html, str(message)):
        assert "hunter2" not in part


@pytest.mark.parametrize("error", [None, OSError("x"), ContractBroken("tom_v1: drifted.")])
def test_whatever_the_exception_is_a_mail_is_sent(mailbox, monkeypatch, error):
    monkeypatch.delenv("AIRFLOW_CONN_FEATURE_STORE", raising=False)
    fail(context(error, states={}))
    assert only_mail(mailbox)["Subject"].startswith("feature store 2026-06-30: ")


@pytest.mark.parametrize("gone", ["stopped", "undefined", "tls", "login", "no sender", "settings"])
def test_a_mail_that_cannot_go_out_is_one_line_in_the_log(
    mailbox, monkeypatch, airflow_conn, scratch, caplog, gone
):
    airflow_conn(scratch.conninfo)
    connection = json.loads(mailbox.airflow_connection)
    said = f"127.0.0.1:{mailbox.port}"
    if gone == "stopped":
        connection["port"], said = 1, "127.0.0.1:1 (Airflow connection 'smtp_default'): Connection"
    elif gone == "undefined":
        monkeypatch.setenv("FEATURE_STORE_SMTP_CONN_ID", "nowhere")
        said = "'nowhere'"
    elif gone == "tls":
        connection["extra"]["disable_ssl"], said = False, "disable_ssl, disable_tls"
    elif gone == "login":
        connection |= {"login": "store", "password": PASSWORD}
    elif gone == "no sender":
        monkeypatch.setenv("FEATURE_STORE_MAIL_FROM", "")
        said = "FEATURE_STORE_MAIL_FROM"
    else:
        monkeypatch.setenv("FEATURE_STORE_ZONE", "Mars")
        said = "FEATURE_STORE_ZONE is 'Mars'"
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
    with caplog.at_level(logging.INFO):
        fail(context(RunFailed("x")))
    (line,) = lines(caplog, logging.WARNING)
    assert said in line.replace("ConnectionRefusedError", "Connection")
    assert "\n" not in line
    assert "hunter2" not in caplog.text
    assert mailbox.mails() == []


def test_without_recipients_there_is_no_mail_and_one_line(mailbox, monkeypatch, caplog):
    monkeypatch.setenv("FEATURE_STORE_MAIL_TO", "")
    with caplog.at_level(logging.INFO):
        fail(context(RunFailed("x")))
    assert lines(caplog, logging.INFO) == [f"No failure mail: {NOBODY}"]
    assert mailbox.mails() == []


def test_a_task_leaves_its_cause_for_the_subject(mailbox, monkeypatch, scratch):
    task = "base.tom_features_v1_mv"
    given = context(states={task: "failed"})
    given["ti"].task_id = task
    try:
        scratch.run("DO $$BEGIN RAISE SQLSTATE '55P03'; END$$")
    except psycopg.Error as error:
        leave_cause(given, error)
    assert given["ti"].xcoms[task, CAUSE]["text"] == "lock timeout"
    given["ti"].task_id = "assert_contract"
    fail(given)
    assert only_mail(mailbox)["Subject"] == f"feature store 2026-06-30: {task} failed: lock timeout"


def test_the_new_run_of_a_mail_is_given_what_the_failed_one_was_given(mailbox):
    given = context(states={"prepare": "failed"})
    given["dag_run"].conf = {"accept_shrink": True, "refresh_unchanged": False}
    given["ti"].task_id = "prepare"
    leave_cause(given, ProofsChanged("x"))
    given["ti"].task_id = "assert_contract"
    fail(given)
    text, _ = parts(only_mail(mailbox))
    assert (
        """\nairflow dags trigger feature_store_refresh --conf '{"accept_shrink": true}'\n"""
        in text
    )


def test_a_cause_that_cannot_be_left_changes_nothing():
    leave_cause({}, ValueError("x"))


def test_the_links_lead_to_the_address_of_the_settings(mailbox, monkeypatch):
    monkeypatch.setenv("FEATURE_STORE_LINKS_BASE", "https://airflow.example/")
    monkeypatch.setenv("FEATURE_STORE_RUNBOOK", "https://git.example/operations.md")
    fail(context(RunFailed("x")))
    text, html = parts(only_mail(mailbox))
    page = f"https://airflow.example/dags/{DAG}/runs/{RUN}"
    assert f"Log of expectations.as_of_counts: {page}/tasks/expectations.as_of_counts" in text
    assert f'<a href="{page}">Run in Airflow</a>' in html
    assert f"https://airflow.example/feature-store/?dag_id={DAG}&amp;run_id={RUN}" in html
    assert '<a href="https://git.example/operations.md">Runbook</a>' in html


def test_a_subject_that_was_cut_arrives_as_it_was_written(mailbox):
    """It is longer than a line of a mail: folded, it would arrive with blanks of its own."""
    fail(context(ContractBroken("word " * 50), states={}))
    subject = only_mail(mailbox)["Subject"]
    assert re.search(r": word( word)+ w[or]*\.\.\.$", subject), subject
    assert len(subject) > 78


def test_a_mail_that_one_of_two_recipients_cannot_get_is_sent_and_the_log_names_that_one(
    tmp_path, monkeypatch, caplog, store_db
):
    """Else the other recipient would get the mail again each night."""
    with Mailbox(tmp_path / "mails", refuses=("bo@example.org",)) as half:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", half.airflow_connection)
        monkeypatch.setenv("FEATURE_STORE_MAIL_TO", "ann@example.org, bo@example.org")
        monkeypatch.setenv("FEATURE_STORE_MAIL_FROM", "store@example.org")
        assert mail_reviews(store_db.connection, context(), changed_days(store_db))
        assert only_mail(half)["To"] == "ann@example.org, bo@example.org"
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "bo@example.org" in line
    assert "550" in line
    assert "ann@example.org" not in line


def test_a_task_that_is_stopped_while_the_server_takes_its_time_sends_nothing_later(
    tmp_path, monkeypatch
):
    begun = threading.Event()

    def about_to() -> bool:
        begun.set()
        return True

    with SlowMailbox(tmp_path / "mails", pause=0.5) as slow:  # it asks after some two seconds
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", slow.airflow_connection)
        monkeypatch.setenv("FEATURE_STORE_MAIL_TO", "bo@example.org")
        monkeypatch.setenv("FEATURE_STORE_MAIL_FROM", "store@example.org")
        with pytest.raises(AirflowTaskTimeout), timeout(1):
            deliver(Mail("s", "t", "<p>t</p>"), read_settings(), about_to)
        assert not begun.wait(5)
        assert slow.mails() == []


def test_a_mail_that_nobody_can_get_is_not_sent(tmp_path, monkeypatch, store_db):
    with Mailbox(tmp_path / "mails", refuses=("bo@example.org",)) as none:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", none.airflow_connection)
        monkeypatch.setenv("FEATURE_STORE_MAIL_TO", "bo@example.org")
        monkeypatch.setenv("FEATURE_STORE_MAIL_FROM", "store@example.org")
        assert not mail_reviews(store_db.connection, context(), changed_days(store_db))
