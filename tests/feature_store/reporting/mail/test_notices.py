"""A chat or a webhook gets a notice beside the mail: bounded, once, its address kept secret."""

from __future__ import annotations

import json
import logging
import os
import ssl
import subprocess
import time
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest

from feature_store.audit.lease import RunKey
from feature_store.audit.runs import open_run
from feature_store.reporting.mail.compose import Mail
from feature_store.reporting.mail.good_run import mail_reviews, mail_warnings
from feature_store.reporting.mail.notice import short_text
from feature_store.validation.history.mailed_reviews import unmailed_reviews
from sandbox.mailbox import Mailbox, mail_settings
from tests.feature_store.reporting.mail.verdicts import (
    DAG,
    FAILED,
    context_of,
    give_verdict,
    prepare_next,
)

RUN = RunKey(DAG, FAILED)
SECRET = "services/T000/B000/s3cr3t-hook"
TOKEN = "s3cr3t-token"


class Receiver(ThreadingHTTPServer):
    """Takes what is sent, and answers after a pause, with this status, or never."""

    def __init__(self, status: int = 200, pause: float = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.pause, self.closing = status, pause, Event()
        self.taken: list[tuple[str, dict[str, str], Any]] = []
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def texts(self) -> list[str]:
        return [body["text"] for _, _, body in self.taken]

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.taken.append((self.path, dict(self.headers), body))
        if self.server.closing.wait(self.server.pause):
            return
        self.send_response(self.server.status)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def db(store_db: Any, airflow_conn: Any, monkeypatch: Any, tmp_path: Any) -> Any:
    """A store with a begun run whose refresh has failed; no mail is set up."""
    airflow_conn(store_db.conninfo)
    monkeypatch.setenv("FEATURE_STORE_REPORT_DIR", str(tmp_path / "reports"))
    monkeypatch.setenv("FEATURE_STORE_MAIL_TIMEOUT", "2")
    open_run(store_db.connection, RUN, "manual", date(2026, 6, 30), "UTC")
    return store_db


@pytest.fixture
def use(monkeypatch: Any) -> Any:
    """Start a receiver of this kind, and let notices go to it."""
    running = []

    def start(conn_type: str = "http", **kind: Any) -> Receiver:
        receiver = Receiver(**kind)
        running.append(receiver)
        port = receiver.server_port
        connection = {
            "http": {
                "host": "http://127.0.0.1", "port": port, "password": TOKEN,
                "extra": {"endpoint": SECRET},
            },
            "slackwebhook": {"host": f"http://127.0.0.1:{port}", "password": SECRET},
            "apprise": {"extra": {"config": {"path": f"json://127.0.0.1:{port}/{SECRET}"}}},
        }[conn_type]  # fmt: skip
        monkeypatch.setenv("FEATURE_STORE_NOTIFY_CONN_ID", "team")
        monkeypatch.setenv("AIRFLOW_CONN_TEAM", json.dumps({"conn_type": conn_type} | connection))
        return receiver

    yield start
    for receiver in running:
        receiver.close()


def recorded(db: Any) -> list[Any]:
    return db.rows("SELECT kind, nth, sent FROM feature_store_audit.mail ORDER BY event_id")


def test_a_failed_run_is_told_once_with_the_mails_subject_and_first_lines(
    db: Any, use: Any
) -> None:
    receiver = use()
    give_verdict()
    ((path, headers, body),) = receiver.taken
    assert path == f"/{SECRET}"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert body.keys() == {"text"}
    subject, blank, *lines = body["text"].splitlines()
    assert subject.startswith("feature store 2026-06-30: base.x failed")
    assert blank == ""
    assert 1 < len(lines) <= 11
    assert lines[-1].startswith(f"Run in Airflow: http://localhost:8080/dags/{DAG}/runs/")
    assert recorded(db) == [("failure notice", 1, True)]
    give_verdict()
    prepare_next()
    assert len(receiver.taken) == 1


def test_a_long_notice_ends_with_the_link_and_cuts_no_line_in_two() -> None:
    """Half a command would be none."""
    link = "Run in Airflow: https://airflow.example.org"
    text = "\n".join(["the subject", "x" * 700, "y" * 700, "z" * 700, link])
    lines = short_text(Mail("The subject", text, "", link)).splitlines()
    assert lines == ["The subject", "", "x" * 700, "y" * 700, link]
    assert short_text(Mail("The subject", "the subject\na\nb", "")).splitlines()[-1] == "b"


def test_mail_and_notice_go_side_by_side_and_neither_waits_for_the_other(
    db: Any, use: Any, monkeypatch: Any, tmp_path: Any
) -> None:
    receiver = use()
    for name, value in mail_settings(Mailbox(tmp_path / "nobody is there")).items():
        if name != "FEATURE_STORE_MAIL_TIMEOUT":
            monkeypatch.setenv(name, value)
    give_verdict()
    assert len(receiver.taken) == 1
    with Mailbox(tmp_path / "mails") as mailbox:
        for name, value in mail_settings(mailbox).items():
            monkeypatch.setenv(name, value)
        prepare_next()
        assert len(mailbox.mails()) == 1, "the mail that could not be sent is sent by the next run"
    assert len(receiver.taken) == 1, "and the notice is not repeated"
    assert recorded(db) == [("failure notice", 1, True), ("failure", 1, True)]


@pytest.mark.parametrize("status", [500, 302])
def test_a_receiver_that_refuses_is_asked_again_by_each_next_run(
    db: Any, use: Any, status: int
) -> None:
    """A redirect counts as a refusal: nobody gets the message but the address that was given."""
    receiver = use(status=status)
    give_verdict()
    assert recorded(db) == [("failure notice", 1, False)]
    prepare_next()
    prepare_next("the run after that")
    assert [path for path, *_ in receiver.taken] == [f"/{SECRET}"] * 3
    assert recorded(db) == [("failure notice", nth, False) for nth in (1, 2, 3)]


def test_a_receiver_that_is_slow_gets_one(db: Any, use: Any) -> None:
    receiver = use(pause=1)
    give_verdict()
    prepare_next()
    assert len(receiver.taken) == 1
    assert recorded(db) == [("failure notice", 1, True)]


def test_a_receiver_that_falls_silent_is_given_up_and_never_asked_again(db: Any, use: Any) -> None:
    """It may have told people, and a second message would tell them twice."""
    receiver = use(pause=60)
    begun = time.monotonic()
    give_verdict()
    assert time.monotonic() - begun < 30
    prepare_next()
    assert len(receiver.taken) == 1
    assert recorded(db) == [("failure notice", 1, None)]


def test_where_nobody_listens_the_run_fails_as_it_would(db: Any, use: Any, caplog: Any) -> None:
    use().close()
    with caplog.at_level(logging.ERROR):
        give_verdict()  # only the failure of the run is raised
    (line,) = [r.message for r in caplog.records if "notice" in r.message]
    assert "could not be sent through the Airflow connection 'team'" in line
    assert "it cannot be reached" in line
    assert db.rows("SELECT sent FROM feature_store_audit.mail") == [(False,)]


@pytest.mark.parametrize(
    "odd",
    [
        {"extra": {"endpoint": f"/{SECRET} x"}},
        {"extra": {"endpoint": f"/{SECRET}/ø"}},
        {"password": f"{TOKEN}\n"},
        {"password": f"{TOKEN}→"},
        {"host": "http://team..example.org", "port": None},
        {"host": "http://team.example.org:x", "port": None},
    ],
)
def test_what_no_request_can_carry_was_not_sent_and_is_tried_again(
    db: Any, use: Any, monkeypatch: Any, caplog: Any, odd: Any
) -> None:
    receiver = use()
    connection = json.loads(os.environ["AIRFLOW_CONN_TEAM"]) | odd
    monkeypatch.setenv("AIRFLOW_CONN_TEAM", json.dumps(connection))
    give_verdict()
    assert recorded(db) == [("failure notice", 1, False)]
    assert "characters that no request can carry" in caplog.text
    assert "s3cr3t" not in caplog.text
    assert receiver.taken == []


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({"conn_type": "ftp", "host": "x"}, "expected http, slackwebhook, apprise"),
        ({"conn_type": "http"}, "it has no host"),
        ({"conn_type": "http", "host": "file:///etc/passwd"}, "neither http nor https"),
        (None, "team"),
    ],
)
def test_a_connection_that_cannot_be_used_is_told_in_the_log_alone(
    db: Any, monkeypatch: Any, caplog: Any, connection: Any, words: str
) -> None:
    monkeypatch.setenv("FEATURE_STORE_NOTIFY_CONN_ID", "team")
    if connection:
        monkeypatch.setenv("AIRFLOW_CONN_TEAM", json.dumps(connection))
    give_verdict()
    assert words in caplog.text
    assert recorded(db) == []


@pytest.mark.parametrize("kind", [{"status": 500}, {"pause": 60}])
def test_address_and_token_are_in_no_log_record_or_report(
    db: Any, use: Any, caplog: Any, tmp_path: Any, kind: Any
) -> None:
    receiver = use(**kind)
    with caplog.at_level(logging.DEBUG):
        give_verdict()
    kept = db.rows("SELECT m::text FROM feature_store_audit.mail AS m") + db.rows(
        "SELECT v::text FROM feature_store_audit.verdict_log AS v"
    )
    told = [caplog.text, str(kept), *(p.read_text() for p in (tmp_path / "reports").glob("*"))]
    assert receiver.taken
    for text in told:
        assert "s3cr3t" not in text


@pytest.fixture
def passed(db: Any) -> Any:
    """The context of a run that passed after all."""
    db.run(
        "INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict) "
        f"VALUES ('{DAG}', '{FAILED}', 'passed')"
    )
    from feature_store.operators.verdict import AssertContractOperator

    return context_of(AssertContractOperator(task_id="assert_contract"))


def test_a_warning_is_told_when_it_is_new(db: Any, use: Any, passed: Any) -> None:
    receiver = use()
    db.run(
        "INSERT INTO feature_store_audit.expectation (dag_id, run_id, suite, expectation, "
        "relation, severity, outcome, expected, observed, sample, seconds) VALUES "
        f"('{DAG}', '{FAILED}', 'uniqueness', 'x', 'ml.x', 'warning', 'broken', 'few', 'many', "
        "'[]', 1)"
    )
    for _ in range(2):
        mail_warnings(db.connection, passed)
    assert [text.splitlines()[0] for text in receiver.texts] == [
        "feature store 2026-06-30: a warning is new: ml.x: expected few"
    ]


def test_an_old_day_that_waits_is_told_once_though_no_mail_ever_tells_of_it(
    db: Any, use: Any, passed: Any, caplog: Any
) -> None:
    receiver = use()
    for day in ("2026-05-01", "2026-05-02"):
        db.run(
            "INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, dag_id, "
            f"run_id, latest_dag_id, latest_run_id) VALUES ('review', 'D1', 'ml.x', '{day}', "
            f"'{DAG}', '{FAILED}', '{DAG}', '{FAILED}')"
        )
        for _night in range(2):
            mail_reviews(db.connection, passed, unmailed_reviews(db.connection))
            db.run(
                "INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict) "
                f"VALUES ('{DAG}', '{FAILED}', 'passed')"
            )
    assert [text.splitlines()[0] for text in receiver.texts] == [
        "feature store 2026-06-30: the old day 2026-05-01 has changed: please review",
        "feature store 2026-06-30: the old day 2026-05-02 has changed: please review",
    ]
    assert "2026-05-01" not in receiver.texts[1], "people have it"
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_a_notice_that_another_process_has_sent_meanwhile_is_no_error(
    db: Any, use: Any, passed: Any, caplog: Any
) -> None:
    receiver = use()
    db.run(
        "INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, dag_id, "
        "run_id, latest_dag_id, latest_run_id) VALUES ('review', 'D1', 'ml.x', '2026-05-01', "
        f"'{DAG}', '{FAILED}', '{DAG}', '{FAILED}')",
        # Its verdict has a notice already, though of nothing that was seen.
        "INSERT INTO feature_store_audit.mail_log (kind, verdict_event, nth, sightings, subject) "
        "SELECT 'review notice', max(event_id), 1, '{}', 'x' FROM feature_store_audit.verdict_log",
    )
    with caplog.at_level(logging.INFO):
        assert not mail_reviews(db.connection, passed, unmailed_reviews(db.connection))
    assert receiver.texts == []
    (line,) = [r for r in caplog.records if "is not sent: told already" in r.message]
    assert line.levelno == logging.INFO
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def _mails_to(monkeypatch: Any, mailbox: Mailbox) -> None:
    for name, value in mail_settings(mailbox).items():
        monkeypatch.setenv(name, value)


def test_a_new_channel_is_not_told_of_what_mails_have_told(
    db: Any, use: Any, monkeypatch: Any, tmp_path: Any
) -> None:
    with Mailbox(tmp_path / "mails") as mailbox:
        _mails_to(monkeypatch, mailbox)
        give_verdict()
        receiver = use()
        prepare_next()
        assert (len(mailbox.mails()), receiver.texts) == (1, [])
        give_verdict(try_number=8, max_tries=7)
        assert (len(mailbox.mails()), len(receiver.texts)) == (2, 1)


@pytest.mark.parametrize(("passed_since", "told"), [(True, 0), (False, 1)])
def test_a_first_channel_is_told_of_an_old_failure_unless_a_run_has_passed_since(
    db: Any, use: Any, passed_since: bool, told: int
) -> None:
    give_verdict()  # no channel is set
    if passed_since:
        good = RunKey(DAG, "a good run")
        open_run(db.connection, good, "manual", date(2026, 6, 30), "UTC")
        db.run(
            "INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict) "
            f"VALUES ('{DAG}', '{good.run_id}', 'passed')"
        )
    receiver = use()
    prepare_next()
    assert len(receiver.texts) == told


@pytest.mark.parametrize("conn_type", ["slackwebhook", "apprise"])
def test_through_airflows_own_providers_too(
    db: Any, use: Any, conn_type: str, caplog: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("FEATURE_STORE_MAIL_TIMEOUT", "60")
    provider = conn_type.removesuffix("webhook")
    pytest.importorskip(
        f"airflow.providers.{provider}", reason="its provider is an extra, and not in the lock"
    )
    receiver = use(conn_type)
    give_verdict()
    ((path, _, body),) = receiver.taken
    assert path == f"/{SECRET}"
    assert "feature store 2026-06-30: base.x failed" in json.dumps(body)
    assert recorded(db) == [("failure notice", 1, True)]
    refusing = use(conn_type, status=500)
    give_verdict(try_number=8, max_tries=7)
    assert len(refusing.taken) == 1
    assert "s3cr3t" not in caplog.text


def test_through_apprise_to_teams(db: Any, monkeypatch: Any, tmp_path: Any) -> None:
    """The address is of the kind that Teams gives: a workflow and its signature, by TLS."""
    pytest.importorskip(
        "airflow.providers.apprise", reason="its provider is an extra, and not in the lock"
    )
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout {key} -out {certificate}"
    subprocess.run(make.split(), check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    receiver = Receiver()
    receiver.socket = tls.wrap_socket(receiver.socket, server_side=True)
    address = f"workflows://127.0.0.1:{receiver.server_port}/WORKFLOW/s3cr3t?verify=no"
    team = {"conn_type": "apprise", "extra": {"config": {"path": address}}}
    monkeypatch.setenv("FEATURE_STORE_NOTIFY_CONN_ID", "team")
    monkeypatch.setenv("AIRFLOW_CONN_TEAM", json.dumps(team))
    monkeypatch.setenv("FEATURE_STORE_MAIL_TIMEOUT", "60")
    give_verdict()
    receiver.close()
    ((path, _, body),) = receiver.taken
    assert "/workflows/WORKFLOW/" in path
    assert body["attachments"][0]["content"]["type"] == "AdaptiveCard"
    assert "feature store 2026-06-30: base.x failed" in json.dumps(body)
    assert recorded(db) == [("failure notice", 1, True)]


def test_a_provider_that_is_not_installed_is_named(
    db: Any, use: Any, caplog: Any, monkeypatch: Any
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    use("apprise")
    give_verdict()
    assert "pip install apache-airflow-providers-apprise" in caplog.text
    assert recorded(db) == []
