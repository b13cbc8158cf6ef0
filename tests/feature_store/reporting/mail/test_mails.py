"""The failure mail: what it says, that it arrives once, and that it never changes a run."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from feature_store.errors import (
    CannotConnect,
    ContractBroken,
    HistoryLeak,
    LeakFound,
    NotReady,
    ProofsChanged,
    RowsLost,
    RunFailed,
    StoreError,
)
from feature_store.reporting.mail.compose import compose, compose_review
from feature_store.reporting.mail.good_run import mail_reviews, mail_warnings
from feature_store.reporting.mail.next_steps import Step, next_steps, section
from feature_store.reporting.mail.run_facts import FailedRun, MailFacts, read_facts, title_of
from feature_store.reporting.mail.send import mail_failure, of_its_store
from feature_store.reporting.mail.task_causes import CAUSE, leave_cause
from feature_store.reporting.run.account import Account, Cause, FailedTask, account_of_tasks
from feature_store.reporting.run.facts import Finding
from feature_store.reporting.run.short_cause import cause_of
from feature_store.settings import Settings
from feature_store.store_address import of_store
from feature_store.validation.history.mailed_reviews import unmailed_reviews
from sandbox.mailbox import Mailbox

DAG, RUN = "feature_store_refresh", "scheduled__2026-06-30"
E_VIEW = "ml.tom_features_v1_enriched_mv"
PASSWORD = "hunter2<&>secret"
STATES = {
    "prepare": "success",
    "read.tom_features_v1_enriched_mv": "success",
    "expectations.as_of_counts": "failed",
    "expectations.uniqueness": "success",
    "assert_contract": "running",
}


def facts(**given):
    return MailFacts(DAG, RUN, date(2026, 6, 30), **given)


def failed(*tasks, never_ran=(), **given):
    """The account of a run in which these tasks failed, each a name or a name with its cause."""
    pairs = [task if isinstance(task, tuple) else (task, "") for task in tasks]
    of_tasks = tuple(FailedTask(name, Cause(text)) for name, text in pairs)
    return Account(failed=of_tasks, never_ran=tuple(never_ran), **given)


def finding(**given):
    values = {
        "suite": "as_of_counts",
        "expectation": "rule",
        "relation": E_VIEW,
        "severity": "critical",
        "outcome": "broken",
        "expected": "rule",
        "observed": "it is broken",
    }
    return Finding(**{**values, **given})


def told(db, states=None, account=None, **given):
    """What a mail is made of, for this run: what its record and Airflow say."""
    states = STATES if states is None else states
    account = account or account_of_tasks(states, "assert_contract")
    run = FailedRun(DAG, RUN, account, tasks=tuple(states), **given)
    return read_facts(run, db and db.connection, Settings().include_dir, "down")


@pytest.fixture
def mailbox(tmp_path, monkeypatch):
    with Mailbox(tmp_path / "mails") as running:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", running.airflow_connection)
        monkeypatch.setenv("FEATURE_STORE_MAIL_TO", "Ann <ann@example.org>, bo@example.org")
        monkeypatch.setenv("FEATURE_STORE_MAIL_FROM", "store@example.org")
        yield running


class Task:
    """What Airflow gives a callback: a task instance with these states and XComs."""

    dag_id, run_id, task_id = DAG, RUN, "assert_contract"
    try_number, max_tries = 4, 3
    log_url = "http://localhost:8080/dags/x"

    def __init__(self, states=None, xcoms=None):
        self.states, self.xcoms = states or {}, xcoms or {}

    def get_task_states(self, dag_id, run_ids):
        return {RUN: self.states}

    def xcom_pull(self, task_ids, key, **_):
        return self.xcoms.get((task_ids, key))

    def xcom_push(self, key, value):
        self.xcoms[self.task_id, key] = value


def context(error=None, states=None, xcoms=None):
    moment = datetime(2026, 6, 30, 1, 20, tzinfo=UTC)
    run = SimpleNamespace(dag_id=DAG, run_id=RUN, logical_date=moment, run_after=moment)
    ti = Task(STATES if states is None else states, xcoms)
    return {"dag_run": run, "ti": ti, "params": {}, "exception": error}


def fail(given):
    """Fail as the verdict's task does in its last try."""
    mail_failure(given, given.pop("exception"))


def only_mail(mailbox):
    (path,) = mailbox.mails()
    return message_from_bytes(path.read_bytes(), policy=policy.default)


def parts(message):
    return tuple(
        message.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html")
    )


def record(db, outcome="broken", sample=None, observed="1 row that breach it", **given):
    row = {
        "dag_id": DAG,
        "run_id": RUN,
        "suite": "as_of_counts",
        "expectation": "anchors",
        "relation": E_VIEW,
        "severity": "critical",
        "outcome": outcome,
        "expected": "anchors of earlier days",
        "observed": observed,
        "sample": json.dumps(sample or []),
        "seconds": 1.0,
        **given,
    }
    known = "SELECT count(*) FROM feature_store_audit.run WHERE run_id = %s"
    if not db.value(known, row["run_id"]):
        opened(db, row["run_id"])
    db.connection.execute(
        f"INSERT INTO feature_store_audit.expectation ({', '.join(row)}) "
        f"VALUES ({', '.join(['%s'] * len(row))})".encode(),
        list(row.values()),
    )


def differs(db, sample, compared=100_000, broken=23):
    """Record what E's specification found wrong with it."""
    record(db, expectation=E_VIEW)
    db.connection.execute(
        "INSERT INTO feature_store_audit.proof (dag_id, run_id, proof, compared, broken, sample, "
        "seconds) VALUES (%s, %s, %s, %s, %s, %s, 1)",
        (DAG, RUN, E_VIEW, compared, broken, json.dumps(sample)),
    )


def opened(db, run_id, verdict=None, prepared="now()"):
    db.run(
        "INSERT INTO feature_store_audit.run (dag_id, run_id, run_type, as_of_day, zone, "
        "prepared_at, server_version, verdict, verdict_at) VALUES "
        f"('{DAG}', '{run_id}', 'scheduled', '2026-06-29', 'UTC', {prepared}, '18', "
        f"{repr(verdict) if verdict else 'NULL'}, '2026-06-29 02:00+00')"
    )


def changed_days(db):
    """Record a day that changed, found by a run that passed."""
    opened(db, RUN, "passed")
    db.run(
        "INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, dag_id, "
        "run_id, latest_dag_id, latest_run_id) VALUES ('review', 'A', 'ml.tom_features_v1_mv', "
        f"'2026-01-02', '{DAG}', '{RUN}', '{DAG}', '{RUN}')"
    )
    return unmailed_reviews(db.connection)


def refreshed(db, relation, run_id):
    db.run(
        "INSERT INTO feature_store_audit.refresh (relation, dag_id, run_id, token, mode, "
        "row_count, bytes, seconds, snapshot, zone, started_at, finished_at) VALUES "
        f"('{relation}', '{DAG}', '{run_id}', 1, 'blocking', 5, 1, 1, '1:1:', 'UTC', "
        "'2026-06-29 01:21+00', '2026-06-29 01:22+00')"
    )


def test_the_subject_begins_with_what_people_call_the_store(tmp_path):
    assert compose(facts(title="bike stations")).subject.startswith("bike stations 2026-06-30: ")
    (tmp_path / "store.toml").write_text('name = "bikes"\ntitle = "bike stations"\n')
    assert title_of(tmp_path) == "bike stations"
    assert title_of(tmp_path / "gone") == "feature store"


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        (
            {"findings": (finding(breaching=1),)},
            f"as_of_counts broken, 1 row of {E_VIEW} (rule)",
        ),
        (
            {"findings": (finding(breaching=2), finding(), finding(severity="warning"))},
            f"as_of_counts broken, 2 rows of {E_VIEW} and 1 more",
        ),
        (
            {"account": failed(("base.tom_features_v1_mv", "lock timeout"))},
            "base.tom_features_v1_mv failed: lock timeout",
        ),
        (
            {"account": failed(("expectations.spam_absence", "connection lost"))},
            "spam_absence could not be checked (connection lost)",
        ),
        (
            {
                "findings": (finding(outcome="error", observed="no column"),),
                "account": failed("expectations.as_of_counts"),
            },
            "as_of_counts could not be checked (no column)",
        ),
        # A failed task is the cause; what the run found before it refreshed is not.
        ({"findings": (finding(),), "account": failed("base.x")}, "base.x failed"),
        ({"account": Account("tom_v1: drifted.\nmore")}, "tom_v1: drifted."),
        ({"findings": (finding(severity="warning"),)}, "no cause recorded, see the log"),
        (
            {"account": Account("The contract of x is broken:", ("a is gone.",))},
            "The contract of x is broken: a is gone.",
        ),
        ({"account": Account("It is broken:", ("a\nb", "c"))}, "It is broken: a, and 1 more"),
        (
            {
                "account": failed(
                    ("prepare", "a is missing"), never_ran=[f"base.t{n}" for n in "ab"]
                )
            },
            "prepare failed: a is missing",
        ),
    ],
)
def test_the_subject_alone_tells_what_broke(given, subject):
    assert compose(facts(**given)).subject == f"feature store 2026-06-30: {subject}"


def test_what_fails_first_is_told_first_as_a_run_goes():
    states = dict.fromkeys(["read.b", "expectations.uniqueness", "base.z", "prepare"], "failed")
    account = account_of_tasks({**states, "assert_contract": "running"}, "assert_contract")
    assert [task.task_id for task in account.failed] == [
        "prepare",
        "base.z",
        "read.b",
        "expectations.uniqueness",
    ]


def test_an_account_is_read_from_the_record_as_it_was_written():
    account = failed(("prepare", "x"), never_ran=["base.a"]).raised(
        LeakFound("A leak:", items=["a", "b"], readers="r", next_step="n")
    )
    assert Account.read(json.loads(json.dumps(account.record())), "words") == account
    assert Account.read(None, "words") == Account("words")


def test_markup_in_the_data_is_text():
    title = "<script>alert('x')</script> & \"more\""
    mail = compose(
        facts(
            findings=(finding(sample=({"title": title[:40], "<b>": None},)),),
            account=Account(title),
            readers=title,
            steps=(Step(title, title),),
            links=(("Log", 'https://x/"><script>'), ("Report", "javascript:alert(1)")),
        )
    )
    assert "<script" not in mail.html
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in mail.html
    assert 'href="javascript' not in mail.html
    assert title in mail.text


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


def test_long_inputs_are_shortened():
    rows = tuple(
        {"key": n, "title": "t" * 500, **{f"c{i}": i for i in range(30)}} for n in range(50)
    )
    long = finding(expected="x" * 10**6, observed="y" * 10**6, relation="r" * 400, sample=rows[:20])
    items = tuple("i" * 10**4 for _ in range(99))
    mail = compose(facts(findings=(long,) * 200, account=Account("p" * 10**6, items)))
    assert len(mail.subject) <= 120
    assert "and 199 more" in mail.subject
    assert max(len(mail.text), len(mail.html)) < 60_000
    assert "(24 more columns)" in mail.text
    # All rows of the first finding, three of each that follows; the rest is only counted.
    shown = [line.split()[0] for line in mail.text.splitlines() if "ttt" in line]
    assert shown == [*map(str, range(20)), *["0", "1", "2"] * 4]
    assert "and 195 more, in the report" in mail.text
    one = compose(facts(findings=(long,)))
    assert len(one.subject) <= 120
    assert one.subject.endswith("...")


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
            f"new rows of this run, not certified: {E_VIEW}.",
            "ml.sold_prices_v1_mv (2026-06-29 01:22 UTC)",
            "nothing yet: no run has certified the store. require_certified raises.",
            f"/dags/{DAG}/runs/{RUN}/tasks/expectations.as_of_counts",
            "/feature-store/api/report?dag_id=",
        ):
            assert words in part
        assert "all was well" not in part
        assert str(Path.home()) not in part
    assert "<script>" not in html


def test_the_same_text_stands_in_a_mail_once():
    problem = "The source column iPhone.iphone_ai_enrich.sale_mode is missing"
    cause = Cause.of(NotReady("Not ready:", items=[f"{problem}.", "GRANT is missing."]))
    account = Account(failed=(FailedTask("prepare", cause),), never_ran=("base.x", "base.y"))
    text = compose(facts(account=account)).text
    assert text.startswith(f"prepare failed: {problem}, and 1 more\n")
    assert text.count("sale_mode") == 1
    assert text.count("GRANT is missing.") == 1
    assert "base.x" not in text
    assert "2 tasks did not run." in text
    leak = compose(facts(account=Account("A leak:", ("price is read", "status is read")))).text
    assert leak.count("price is read") == 1
    assert leak.count("status is read") == 1


@pytest.mark.parametrize(
    ("kind", "commands"),
    [
        (CannotConnect("down"), ["bin/feature-store status"]),
        (NotReady("x"), ["bin/feature-store plan"]),
        (RowsLost("x"), ["accept_shrink"]),
        (HistoryLeak("x"), ["bin/feature-store history"]),
        (LeakFound("x"), ["bin/feature-store check-leaks"]),
        (ContractBroken("x"), ["bin/feature-store check-contract"]),
        (ProofsChanged("x"), ["bin/feature-store stamp-proofs"]),
        (StoreError("x", next_step="Mend it."), []),
    ],
)
def test_the_next_command_is_chosen_by_the_kind_of_failure(kind, commands):
    accounts = [Account(failed=(FailedTask("base.x", Cause.of(kind)),))]
    if not isinstance(kind, NotReady):  # the verdict's own failure says all itself
        accounts.append(Account().raised(kind))
    for account in accounts:
        steps = told(None, {"base.x": "failed"}, account).steps
        assert all(word in step.command for word, step in zip(commands, steps, strict=False))
        assert len(steps) == len(commands or [1]) + 1
        assert "airflow " in steps[-1].command
        if not commands:
            assert steps[0].words == kind.next_step


def test_a_certificate_that_was_refused_is_not_told_as_a_refusal_by_prepare():
    refused = NotReady("This run cannot certify the store:", items=["e was refreshed by hand"])
    (again,) = told(None, {"base.x": "success"}, Account().raised(refused)).steps
    assert "dags trigger" in again.command


def test_a_failed_suite_is_not_sent_to_a_log_and_its_layer_not_to_the_advertisements():
    """Rows of one listing are no fault in the advertisements: each edit is a row."""
    account = failed("expectations.spam_absence")
    lost = finding(suite="uniqueness", expectation="rows_of_tom_features_v1_enriched_clean_mv")
    spam = finding(suite="spam_absence", relation="ml.tom_features_v1_enriched_clean_mv")
    twice = finding(suite="uniqueness", expectation="key_x", sample=({"listing_id": 1},))
    for found in ([spam, lost], [spam], [twice]):
        steps = next_steps(DAG, None, [], account, found, Settings().include_dir)
        assert [step.command for step in steps] == ["", f"airflow dags trigger {DAG}"]
        assert "What is broken is listed below" in steps[0].words
        assert not any("SELECT" in step.command or " log " in step.words for step in steps)


def test_what_failed_before_there_was_an_account_is_told_by_its_words():
    old = Account.read(None, "Failed: base.x.\n  - base.x: no space left")
    assert compose(facts(account=old)).text.count("no space left") == 1


def test_an_item_that_the_headline_has_in_part_is_told_whole():
    cause = Cause.of(NotReady("The store cannot be refreshed:", items=["x is bare.\nNext: GRANT"]))
    text = compose(facts(account=Account(failed=(FailedTask("prepare", cause),)))).text
    assert "x is bare.\n" in text.partition("\n")[2]


def test_a_command_stands_alone_in_a_box_and_dark_screens_and_phones_are_thought_of():
    steps = (Step("Look:", "bin/feature-store plan"), Step("Words alone."))
    mail = compose(facts(steps=steps, findings=(finding(sample=({"a": 1},)),)))
    assert re.findall(r"<pre>(.*?)</pre>", mail.html) == ["bin/feature-store plan"]
    assert "\n\nbin/feature-store plan\n" in mail.text
    assert mail.text.index("bin/feature-store") < mail.text.index("BROKEN")
    assert "prefers-color-scheme: dark" in mail.html
    # Wide parts scroll in a box of their own, or break.
    assert re.search(r'<div class="wide"[^>]*>\s*<table>', mail.html)
    assert "pre { white-space: pre-wrap; overflow-wrap: anywhere;" in mail.html


def test_the_runbook_has_the_section_that_a_mail_names():
    page = (Path(__file__).resolve().parents[4] / "docs" / "operations.md").read_text()
    headings = re.findall(r"^##+ (.*)$", page, flags=re.MULTILINE)
    causes = [CannotConnect("x"), NotReady("x"), RowsLost("x"), StoreError("x")]
    tasks = ["prepare", "base.x", "expectations.uniqueness"]
    raised = (HistoryLeak, ContractBroken, ProofsChanged)
    accounts = [Account(), *(Account().raised(kind("x")) for kind in raised)]
    accounts.append(Account().raised(NotReady("x", items=["the log of x has 1 rows"])))
    accounts += [Account(failed=(FailedTask(t, Cause.of(c)),)) for t in tasks for c in causes]
    named = {section(account, found) for account in accounts for found in ([], [finding()])}
    assert len(named) == 10
    assert named <= set(headings)


def test_of_rows_that_differ_it_is_said_not_to_train_on_them(scratch):
    differs(scratch, [])
    (anew, else_) = told(scratch).steps
    assert "Do not train" in anew.words
    assert anew.command.endswith("--conf '{\"refresh_unchanged\": true}'")
    assert f"include/sql/specifications/{E_VIEW}.sql" in else_.words


def test_of_a_duplicate_key_the_query_for_both_rows_is_told(scratch):
    scratch.run(
        'ALTER TABLE "iPhone".iphone_ai_enrich DROP CONSTRAINT iphone_ai_enrich_pkey;'
        'INSERT INTO "iPhone".iphone_ai_enrich (listing_id) VALUES (5), (5), (6)'
    )
    task = "read.tom_features_v1_enriched_ai_clean_mv"
    cause = Cause.of(psycopg.errors.UniqueViolation("x"))
    step, again = told(None, {task: "failed"}, Account(failed=(FailedTask(task, cause),))).steps
    assert [row[0] for row in scratch.rows(step.command)] == [5, 5]
    assert "airflow " in again.command


def test_findings_of_an_earlier_go_are_not_told_again(scratch):
    record(scratch)
    opened(scratch, RUN, prepared="now() - interval '1 hour'")  # by another clock
    assert told(scratch).findings == ()


def test_findings_of_rows_that_were_refreshed_since_are_not_told(scratch):
    """Mail, report, page and list of runs share one rule for this: the view ``finding``."""
    record(scratch)
    refreshed(scratch, E_VIEW, RUN)
    assert told(scratch).findings == ()


def test_findings_of_a_suite_that_did_not_run_this_time_are_not_told_again(scratch):
    record(scratch)
    record(scratch, suite="uniqueness", outcome="error")
    states = {"base.x": "failed", "expectations.as_of_counts": "upstream_failed"}
    assert [f.suite for f in told(scratch, states).findings] == ["uniqueness"]


def test_errors_are_told_apart_from_breaches(scratch):
    record(scratch, "error", observed="no such column")
    record(scratch, expectation="w", severity="warning", breaching=3)
    error, warning = told(scratch).findings
    assert (error.observed, error.is_critical) == ("no such column", False)
    assert (warning.amount, warning.is_warning) == ("3 rows", True)
    text = compose(facts(findings=(error, warning))).text
    assert text.index("COULD NOT BE CHECKED") < text.index("WARNINGS")


def test_a_specification_that_compared_nothing_says_so(scratch):
    record(scratch, expectation=E_VIEW)
    assert [f.amount for f in told(scratch).findings] == ["no row compared"]


def test_one_row_that_sums_up_is_told_by_its_counts_and_rows(scratch):
    record(scratch, sample=[{"repeated": 3, "sample": [{"listing_id": 7}]}], breaching=1)
    (found,) = told(scratch).findings
    assert (found.amount, found.sample) == ("3 rows", ({"listing_id": 7},))


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


NOBODY = "FEATURE_STORE_MAIL_TO names nobody, and FEATURE_STORE_NOTIFY_CONN_ID no connection."


def lines(caplog, level):
    return [
        r.getMessage()
        for r in caplog.records
        if r.name.startswith("feature_store.reporting.mail.") and r.levelno >= level
    ]


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


def test_of_new_warnings_nobody_is_told_with_one_line_too(mailbox, monkeypatch, caplog, store_db):
    monkeypatch.setenv("FEATURE_STORE_MAIL_TO", "")
    with caplog.at_level(logging.INFO):
        warned(store_db, "1")
        assert lines(caplog, logging.INFO) == []
        warned(store_db, "2", "x")
    assert lines(caplog, logging.INFO) == [f"No mail about warnings: {NOBODY}"]
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


def test_a_cause_that_cannot_be_left_changes_nothing():
    leave_cause({}, ValueError("x"))


def test_the_links_lead_to_the_address_of_the_settings(mailbox, monkeypatch):
    monkeypatch.setenv("FEATURE_STORE_LINKS_BASE", "https://airflow.example/")
    fail(context(RunFailed("x")))
    text, html = parts(only_mail(mailbox))
    page = f"https://airflow.example/dags/{DAG}/runs/{RUN}"
    assert f"Log of expectations.as_of_counts: {page}/tasks/expectations.as_of_counts" in text
    assert f'<a href="{page}">Run in Airflow</a>' in html
    assert f"https://airflow.example/feature-store/?dag_id={DAG}&amp;run_id={RUN}" in html


def test_what_was_refreshed_first_leads_for_the_rest_may_follow_from_it(scratch):
    later = "feature_store.listing_device_features_clean_mv"
    opened(scratch, RUN)
    refreshed(scratch, E_VIEW, RUN)
    refreshed(scratch, later, RUN)
    record(scratch, suite="spam_absence", relation=later)
    record(scratch, suite="spam_absence", relation=E_VIEW, expectation="z")
    moment = datetime(2026, 6, 30, 1, 20, tzinfo=UTC)
    read = told(scratch, logical_date=moment)
    assert [f.relation for f in read.findings] == [E_VIEW, later]
    assert read.steps[-1].command == (
        f"airflow tasks clear {DAG} --task-regex read.tom_features_v1_enriched_mv --downstream "
        "--start-date 2026-06-30T01:20:00+00:00 --end-date 2026-06-30T01:20:00+00:00"
    )


def test_a_plain_view_comes_last_and_a_source_first(scratch):
    view, source = "feature_store.device_meta_encoded_t0_v1", "iPhone.iphone_listings"
    opened(scratch, RUN)
    refreshed(scratch, E_VIEW, RUN)
    record(scratch, suite="as_of_counts", relation=view)
    record(scratch, suite="spam_absence", relation=E_VIEW)
    record(scratch, suite="uniqueness", relation=source)
    assert [f.relation for f in told(scratch).findings] == [source, E_VIEW, view]


def test_rows_that_name_a_layer_put_it_into_the_subject_and_the_command(scratch):
    record(scratch, relation="feature_store_audit.refresh", sample=[{"relation": E_VIEW}])
    read = told(scratch, logical_date=datetime(2026, 6, 30, tzinfo=UTC))
    assert compose(read).subject.startswith(f"feature store: as_of_counts broken: {E_VIEW} (")
    assert "read.tom_features_v1_enriched_mv" in read.steps[-1].command


def test_of_a_proofs_row_the_key_is_told_and_only_what_differs(scratch):
    row = {
        "key": {"listing_id": 7},
        "observed": {"ask_cnt": 3, "sold_cnt_30d": 1, "ask_median_price": None},
        "expected": {"ask_cnt": 2, "sold_cnt_30d": 1, "ask_median_price": 5},
    }
    gone = {"key": {"listing_id": 8}, "observed": None, "expected": {"ask_cnt": 2}}
    differs(scratch, [row, gone])
    assert told(scratch).findings[0].sample == (
        {"listing_id": 7, "ask_cnt": "3, not 2", "ask_median_price": "NULL, not 5"},
        {"listing_id": 8, "row": "is missing"},
    )


def test_a_cause_is_what_was_announced():
    error = StoreError("The store cannot be refreshed:", items=["a is missing.", "b is missing."])
    assert cause_of(error) == "a is missing, and 1 more"


def test_with_the_database_down_a_run_that_worked_has_changed_something():
    error = CannotConnect("Cannot connect.", readers="nothing was changed.")
    worked = {"prepare": "success", "base.x": "success"}
    read = told(None, worked, Account().raised(error))
    assert read.readers == "not known. The store could not be asked: down."


def test_a_subject_that_was_cut_arrives_as_it_was_written(mailbox):
    """It is longer than a line of a mail: folded, it would arrive with blanks of its own."""
    fail(context(ContractBroken("word " * 50), states={}))
    subject = only_mail(mailbox)["Subject"]
    assert re.search(r": word( word)+ w[or]*\.\.\.$", subject), subject
    assert len(subject) > 78


def test_in_a_table_the_store_s_key_leads_and_what_a_row_has_not_got_is_blank():
    rows = ({"a": "x", "listing_id": 7}, {"listing_id": 8, "b": None})
    lines = compose(facts(findings=(finding(sample=rows),), key="listing_id")).text.splitlines()
    at = lines.index("      listing_id  a  b")
    assert lines[at + 1 : at + 3] == ["      7           x", "      8              NULL"]


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


def test_a_mail_that_nobody_can_get_is_not_sent(tmp_path, monkeypatch, store_db):
    with Mailbox(tmp_path / "mails", refuses=("bo@example.org",)) as none:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", none.airflow_connection)
        monkeypatch.setenv("FEATURE_STORE_MAIL_TO", "bo@example.org")
        monkeypatch.setenv("FEATURE_STORE_MAIL_FROM", "store@example.org")
        assert not mail_reviews(store_db.connection, context(), changed_days(store_db))


def test_a_review_mail_says_that_the_run_passed_and_how_to_accept():
    review = "A (ml.tom_features_v1_mv) of 2026-01-02: 1 rows came\n<b>title</b>"
    accept = "bin/feature-store accept-history --day 2026-01-02"
    mail = compose_review(facts(), [date(2026, 1, 2)], [review], [Step("Accept it:", accept)])
    assert mail.subject == (
        "feature store 2026-06-30: the old day 2026-01-02 has changed: please review"
    )
    assert "The run passed." in mail.text
    assert review in mail.text
    assert "<b>title" not in mail.html
    assert "&lt;b&gt;title" in mail.html
    for part in (mail.text, mail.html):
        assert accept in part


def test_a_long_review_mail_leaves_the_rest_to_the_command_line():
    days = [date(2026, 1, 1), date(2026, 2, 9)]
    mail = compose_review(facts(), days, [f"day {n}" for n in range(40)], [])
    assert mail.subject.endswith(
        "2 old days (2026-01-01 to 2026-02-09) have changed: please review"
    )
    assert "and 15 more: bin/feature-store history" in mail.text


def test_a_day_that_changed_in_two_layers_is_one_day_in_the_subject_of_the_review():
    layers = ["A of 2026-05-01: 1 rows came", "D2 of 2026-05-01: …"]
    mail = compose_review(facts(), [date(2026, 5, 1)], layers, [])
    assert "the old day 2026-05-01 has changed" in mail.subject
    assert "A of 2026-05-01: 1 rows came" in mail.text


def warned(db, run, *expectations):
    """Record a run that passed, with these warnings."""
    opened(db, run, "passed")
    for name in expectations:
        record(
            db, run_id=run, expectation=name, severity="warning", expected=name, breaching=1,
            sample=[{"day": "2026-01-30", "listing_id": 7}],
        )  # fmt: skip
    given = context()
    given["dag_run"].run_id = run
    mail_warnings(db.connection, given)


def test_a_warning_is_mailed_when_it_is_new_and_when_it_is_over_and_not_between(mailbox, store_db):
    warned(store_db, "1")
    warned(store_db, "2", "sources are fresh")
    warned(store_db, "3", "sources are fresh")
    warned(store_db, "4", "sources are fresh", "rows are many")
    warned(store_db, "5")
    told = [message_from_bytes(m.read_bytes(), policy=policy.default) for m in mailbox.mails()]
    assert [m["Subject"].removeprefix("feature store 2026-06-30: ") for m in told] == [
        f"a warning is new: {E_VIEW}: sources are fresh",
        f"a warning is new: {E_VIEW}: rows are many",
        f"2 warnings are over: {E_VIEW}: rows are many",
    ]
    for part in parts(told[0]):
        assert "The run passed." in part
        assert "2026-01-30" in part
    assert "listing_id  day" in parts(told[0])[0], "the key of store.toml leads"
    assert "sources are fresh" in parts(told[2])[0]


def test_a_warning_of_which_no_mail_could_go_out_is_told_by_the_next_run(
    mailbox, monkeypatch, store_db
):
    monkeypatch.setenv("FEATURE_STORE_SMTP_CONN_ID", "nowhere")
    warned(store_db, "1", "x")
    monkeypatch.delenv("FEATURE_STORE_SMTP_CONN_ID")
    warned(store_db, "2", "x")
    assert only_mail(mailbox)["Subject"].endswith(f"a warning is new: {E_VIEW}: x")


def test_a_mail_of_another_store_names_it_in_every_command(tmp_path):
    folder = tmp_path / "two & more"
    settings = of_store(Settings(), folder, "bikes")
    look = Step("Look:", "bin/feature-store plan")
    told = compose(facts(steps=(look,), readers="as bin/feature-store status says"))
    mail = of_its_store(told, settings)
    named = f"bin/feature-store --store '{folder}' --connection bikes "
    for text in (mail.text, unescape(mail.html)):
        assert text.count("bin/feature-store ") == text.count(named) == 2
    assert "two & more" not in mail.html
    assert of_its_store(told, Settings()) == told
