"""A failed run has one mail, whatever happens to its mail server and to the task that sends it.

The mail servers are real, some slow, some falling silent. The processes are real, and are killed.
"""

from __future__ import annotations

import time
from email import message_from_bytes, policy
from typing import Any

import psycopg
import pytest

from feature_store.audit.lease import RunKey
from feature_store.audit.runs import open_run
from feature_store.reporting.mail.good_run import mail_reviews
from sandbox.mailbox import Mailbox, mail_settings
from tests.feature_store.reporting.mail.verdicts import (
    DAG,
    FAILED,
    context_of,
    give_verdict,
    prepare_next,
    start_verdict,
)
from tests.mail_servers import BusyMailbox, SlowMailbox

RUN = RunKey(DAG, FAILED)
# The answers until the mail itself is sent: greeting, EHLO, sender, recipient, go on.
ANSWERS = 5
MAILED = "mailed"  # the XCom of how far its mail came
AGAIN = "You may already have this mail"
LATE = "This mail is late"


@pytest.fixture
def db(store_db: Any, airflow_conn: Any, monkeypatch: Any, tmp_path: Any) -> Any:
    """A store with a begun run whose refresh has failed."""
    airflow_conn(store_db.conninfo)
    monkeypatch.setenv("FEATURE_STORE_REPORT_DIR", str(tmp_path / "reports"))
    from datetime import date

    open_run(store_db.connection, RUN, "manual", date(2026, 6, 30), "UTC")
    return store_db


@pytest.fixture
def use(monkeypatch: Any, tmp_path: Any) -> Any:
    """Start a mail server of this kind, and let mails go to it."""
    running = []

    def start(kind: type[Mailbox] | None = None, **how: Any) -> Any:
        kind = kind or (SlowMailbox if how else Mailbox)
        mailbox = kind(tmp_path / f"mails{len(running)}", **how)
        running.append(mailbox.__enter__())
        for name, value in mail_settings(mailbox).items():
            monkeypatch.setenv(name, value.replace('"timeout": 5', '"timeout": 60'))
        return mailbox

    yield start
    for mailbox in running:
        mailbox.__exit__(None, None, None)


def texts(*mailboxes: Mailbox) -> list[str]:
    return [
        message_from_bytes(path.read_bytes(), policy=policy.default)
        .get_body(("plain",))
        .get_content()
        for mailbox in mailboxes
        for path in mailbox.mails()
    ]


def recorded(db: Any) -> list[Any]:
    return db.rows("SELECT nth, sent FROM feature_store_audit.mail ORDER BY event_id")


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def test_a_failed_run_is_mailed_by_its_own_task_once_and_the_record_says_so(
    db: Any, use: Any
) -> None:
    mailbox = use()
    give_verdict()
    (text,) = texts(mailbox)
    assert AGAIN not in text
    assert LATE not in text
    assert recorded(db) == [(1, True)]
    # Airflow tries the task again if it was killed before Airflow heard that it had failed.
    give_verdict()
    prepare_next()
    assert len(mailbox.mails()) == 1
    assert db.value("SELECT count(*) FROM feature_store_audit.verdict_log") == 1


def test_a_task_that_was_cleared_and_fails_again_is_mailed_again(db: Any, use: Any) -> None:
    mailbox = use()
    give_verdict()
    give_verdict(try_number=8, max_tries=7)
    assert len(mailbox.mails()) == 2
    assert recorded(db) == [(1, True), (1, True)]


def test_a_mail_server_that_is_slow_with_each_answer_gets_one_mail(db: Any, use: Any) -> None:
    mailbox = use(pause=0.7)
    give_verdict()
    assert len(mailbox.mails()) == 1
    assert recorded(db) == [(1, True)]


def test_a_mail_server_that_is_too_slow_in_all_is_given_up_and_nothing_was_sent(
    db: Any, use: Any, monkeypatch: Any
) -> None:
    """Each answer comes within the connection's timeout, so that timeout alone does not end it."""
    monkeypatch.setenv("FEATURE_STORE_MAIL_TIMEOUT", "3")
    mailbox = use(pause=1.2)
    begun = time.monotonic()
    give_verdict()
    assert time.monotonic() - begun < 30
    assert recorded(db) == []
    time.sleep(1.5)  # what was given up is not sent behind our back
    assert mailbox.mails() == []
    monkeypatch.setenv("FEATURE_STORE_MAIL_TIMEOUT", "60")
    quick = use()
    prepare_next()
    (text,) = texts(quick)
    assert LATE in text
    assert AGAIN not in text


@pytest.mark.parametrize("busy", [{"greylisted": 2}, {"unfiltered": 2}])
def test_what_the_server_refuses_for_now_is_tried_again_while_there_is_time(
    db: Any, use: Any, monkeypatch: Any, busy: dict[str, int]
) -> None:
    """The next run is a day away."""
    monkeypatch.setenv("FEATURE_STORE_MAIL_TIMEOUT", "8")
    mailbox = use(BusyMailbox, **busy)
    give_verdict()
    (text,) = texts(mailbox)
    assert AGAIN not in text
    assert recorded(db) == [(1, True)]
    assert len(set(mailbox.messages)) == 1, "the same mail, to whoever looks for doubles"
    prepare_next()
    assert len(mailbox.mails()) == 1


def test_what_the_server_refuses_for_now_to_the_end_is_known_as_not_sent(
    db: Any, use: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("FEATURE_STORE_MAIL_TIMEOUT", "4")
    mailbox = use(BusyMailbox, unfiltered=99)
    begun = time.monotonic()
    give_verdict()
    assert time.monotonic() - begun < 30
    ((sent, problem),) = db.rows("SELECT sent, problem FROM feature_store_audit.mail")
    assert (sent, problem.startswith("SMTPDataError: (451")) == (False, True)
    mailbox.unfiltered = 0
    prepare_next()
    (text,) = texts(mailbox)
    assert (LATE in text, AGAIN in text) == (True, False)


def test_a_mail_that_was_refused_night_after_night_is_sent_when_the_server_takes_mails_again(
    db: Any, use: Any, monkeypatch: Any
) -> None:
    """What was refused did not arrive, however often that happens."""
    monkeypatch.setenv("FEATURE_STORE_MAIL_TIMEOUT", "3")
    full = use(BusyMailbox, unfiltered=99)
    give_verdict()
    prepare_next()
    prepare_next("the one after that")
    assert recorded(db) == [(1, False), (2, False), (3, False)]
    full.unfiltered = 0
    prepare_next("the third night")
    prepare_next("the fourth night")
    (text,) = texts(full)
    assert (LATE in text, AGAIN in text) == (True, False)
    assert recorded(db)[3:] == [(4, True)]


@pytest.mark.parametrize(
    ("run_type", "words"),
    [
        ("manual", "run again with what that run was given, if anything;"),
        ("backfill", "A new run would answer for another day."),
    ],
)
def test_a_late_mail_does_not_know_what_the_run_was_given(
    db: Any, use: Any, run_type: str, words: str
) -> None:
    db.run(f"UPDATE feature_store_audit.run_log SET run_type = '{run_type}'")
    give_verdict()  # nobody is to be told
    mailbox = use()
    prepare_next()
    (text,) = texts(mailbox)
    assert LATE in text
    assert words in text


def test_a_server_that_takes_the_mail_and_never_answers_gets_one_more_that_says_so(
    db: Any, use: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("FEATURE_STORE_MAIL_TIMEOUT", "3")
    mute = use(answers=ANSWERS)
    give_verdict()
    assert recorded(db) == [(1, None)]
    prepare_next("the next run")
    first, second = texts(mute)
    assert AGAIN not in first
    assert AGAIN in second
    # The second mail was not answered either, and there is no third.
    quick = use()
    prepare_next("the one after that")
    assert texts(quick) == []
    assert recorded(db) == [(1, None), (2, None)]


def test_killed_while_the_server_has_the_mail_the_next_try_sends_one_more_that_says_so(
    db: Any, use: Any
) -> None:
    mute = use(answers=ANSWERS)
    task = start_verdict(try_number=2)
    wait_for(mute.mails)
    task.kill()
    task.wait()
    assert recorded(db) == [(1, None)]
    quick = use()
    give_verdict(try_number=3)
    prepare_next()
    (text,) = texts(quick)
    assert AGAIN in text
    assert LATE not in text
    assert recorded(db) == [(1, None), (2, True)]


def test_killed_in_its_last_try_before_the_server_had_the_mail_the_next_run_sends_it(
    db: Any, use: Any
) -> None:
    mute = use(answers=2)  # the greeting and the answer to EHLO only
    task = start_verdict()
    wait_for(lambda: mute.silent)
    task.kill()
    task.wait()
    assert recorded(db) == []
    quick = use()
    prepare_next()
    prepare_next("the one after that")
    (text,) = texts(quick)
    assert LATE in text
    assert AGAIN not in text
    assert "base.x" in text, "what Airflow knows of the run is told"
    assert recorded(db) == [(1, True)]


def test_a_run_that_died_with_the_lease_and_without_a_verdict_is_mailed_by_the_next_one(
    db: Any, use: Any
) -> None:
    db.run(
        f"UPDATE feature_store_audit.lease SET dag_id = '{DAG}', run_id = '{FAILED}', "
        "taken_at = now(), seen_at = now()"
    )
    mailbox = use()
    prepare_next()
    (text,) = texts(mailbox)
    assert text.startswith("The run was stopped, or the machine of its last task died")
    assert "Run the next run sends it, and is at work now: wait for its result first." in text
    assert "the log of the task that ran last, or of assert_contract, says where it ended" in text
    assert "To go on, run again with what that run was given, if anything;" in text
    assert "  base.x failed\r\n" in text
    assert 'Runbook: docs/operations.md, "Stopping a run"' in text
    for words in ("without a verdict", "fix"):
        assert words not in text
    assert FAILED in text


@pytest.mark.parametrize("state", ["running", "queued", "success"])
def test_of_a_run_that_airflow_does_not_call_failed_no_other_run_tells(
    db: Any, use: Any, state: str, monkeypatch: Any
) -> None:
    """The run's own task may be about to send the mail."""
    mailbox = use()
    monkeypatch.setenv("FEATURE_STORE_MAIL_TO", "")
    give_verdict()
    monkeypatch.setenv("FEATURE_STORE_MAIL_TO", "you@localhost")
    monkeypatch.setattr(
        "tests.feature_store.reporting.mail.verdicts.Instance.get_dagrun_state",
        lambda self, _, run: "running" if run == self.run_id else state,
    )
    prepare_next()
    assert mailbox.mails() == []


def test_with_the_database_down_airflow_remembers_the_mail_and_the_next_run_sends_none(
    db: Any, use: Any, airflow_conn: Any
) -> None:
    mailbox = use()
    airflow_conn("host=127.0.0.1 port=1 dbname=store user=nobody")
    from feature_store.errors import CannotConnect
    from feature_store.operators.verdict import AssertContractOperator

    task = AssertContractOperator(task_id="assert_contract")
    early = context_of(task, FAILED, 3)
    with pytest.raises(CannotConnect):
        task.execute(early)  # type: ignore[arg-type]
    assert mailbox.mails() == [], "another try comes"
    last = context_of(task, FAILED, 4)
    with pytest.raises(CannotConnect):
        task.execute(last)  # type: ignore[arg-type]
    (text,) = texts(mailbox)
    assert "The store could not be asked" in text
    state = last["ti"].xcoms[FAILED, "assert_contract", MAILED]

    airflow_conn(db.conninfo)
    db.run(
        f"UPDATE feature_store_audit.lease SET dag_id = '{DAG}', run_id = '{FAILED}', "
        "taken_at = now(), seen_at = now()"
    )
    prepare_next(**{MAILED: state})
    assert len(mailbox.mails()) == 1
    prepare_next("after one that was killed while it sent", **{MAILED: "begun"})
    assert AGAIN in texts(mailbox)[1]


def test_a_last_try_that_fails_of_what_may_pass_is_recorded_and_mailed_too(
    db: Any, use: Any
) -> None:
    """Else Airflow says failed, while the record says for hours that the run is under way."""
    mailbox = use()
    from feature_store.operators.verdict import AssertContractOperator

    task = AssertContractOperator(task_id="assert_contract")
    context = context_of(task, FAILED)
    context["ti"].get_task_states = lambda **_: {}  # nothing failed before
    db.run(
        "CREATE OR REPLACE FUNCTION feature_store_audit.take_lease(p_dag_id text, p_run_id text, "
        "p_token bigint) RETURNS bigint LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE SQLSTATE '55P03' USING MESSAGE = 'somebody has it locked'; END $$"
    )
    context["ti"].runs = {}
    with pytest.raises(psycopg.errors.LockNotAvailable):
        task.execute(context)  # type: ignore[arg-type]
    ((verdict, problem),) = db.rows("SELECT verdict, problem FROM feature_store_audit.run")
    assert verdict == "failed"
    assert problem.startswith("somebody has it locked")
    assert len(mailbox.mails()) == 1


def test_a_review_whose_mail_nobody_knows_of_is_mailed_once_more_and_says_so(
    db: Any, use: Any, monkeypatch: Any
) -> None:
    from feature_store.operators.verdict import AssertContractOperator
    from feature_store.validation.history.mailed_reviews import unmailed_reviews

    monkeypatch.setenv("FEATURE_STORE_MAIL_TIMEOUT", "3")
    context = context_of(AssertContractOperator(task_id="assert_contract"))
    db.run(
        f"INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict) "
        f"VALUES ('{DAG}', '{FAILED}', 'passed')",
        "INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, dag_id, "
        "run_id, latest_dag_id, latest_run_id) VALUES ('review', 'A', 'ml.tom_features_v1_mv', "
        f"'2026-01-02', '{DAG}', '{FAILED}', '{DAG}', '{FAILED}')",
    )
    mute = use(answers=ANSWERS)
    found = unmailed_reviews(db.connection)
    assert not mail_reviews(db.connection, context, found)
    again = unmailed_reviews(db.connection)
    assert again.doubtful
    quick = use()
    assert mail_reviews(db.connection, context, again)
    assert unmailed_reviews(db.connection).reviews == ()
    first, second = texts(mute, quick)
    assert AGAIN not in first
    assert AGAIN in second
    # Whoever was paused meanwhile finds that it was told.
    assert not mail_reviews(db.connection, context, found)
    assert len(quick.mails()) == 1
