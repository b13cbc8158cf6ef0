"""Runs that failed, and the mails that tell of them, for the tests of mails."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from types import SimpleNamespace

from feature_store.reporting.mail.run_facts import FailedRun, MailFacts, read_facts
from feature_store.reporting.mail.send import mail_failure
from feature_store.reporting.run.account import Account, Cause, FailedTask, account_of_tasks
from feature_store.reporting.run.facts import Finding
from feature_store.settings import Settings
from feature_store.validation.history.mailed_reviews import unmailed_reviews

DAG, RUN = "feature_store_refresh", "scheduled__2026-06-30"


E_VIEW = "ml.tom_features_v1_enriched_mv"


PASSWORD = "hunter2<&>secret"


NOBODY = "FEATURE_STORE_MAIL_TO names nobody, and FEATURE_STORE_NOTIFY_CONN_ID no connection."
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


def readable(relation, of_run, moment):
    """The rows that readers have of a relation."""
    return SimpleNamespace(relation=relation, of_run=of_run, refreshed=of_run, finished_at=moment)


def told(db, states=None, account=None, **given):
    """What a mail is made of, for this run: what its record and Airflow say."""
    states = STATES if states is None else states
    account = account or account_of_tasks(states, "assert_contract")
    run = FailedRun(DAG, RUN, account, tasks=tuple(states), **given)
    return read_facts(run, db and db.connection, Settings().include_dir, "down")


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
    run = SimpleNamespace(
        dag_id=DAG,
        run_id=RUN,
        logical_date=moment,
        run_after=moment,
        run_type=SimpleNamespace(value="scheduled"),
        conf=None,
    )
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


def differs(db, sample, compared=100_000, broken=23, relation=E_VIEW):
    """Record what a relation's specification found wrong with it."""
    record(db, expectation=relation, relation=relation)
    db.connection.execute(
        "INSERT INTO feature_store_audit.proof (dag_id, run_id, proof, compared, broken, sample, "
        "seconds) VALUES (%s, %s, %s, %s, %s, %s, 1)",
        (DAG, RUN, relation, compared, broken, json.dumps(sample)),
    )


def opened(
    db, run_id, verdict=None, prepared="now()", run_type="scheduled", as_of_day="2026-06-29"
):
    db.run(
        "INSERT INTO feature_store_audit.run (dag_id, run_id, run_type, as_of_day, zone, "
        "prepared_at, server_version, verdict, verdict_at) VALUES "
        f"('{DAG}', '{run_id}', '{run_type}', '{as_of_day}', 'UTC', {prepared}, '18', "
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


def lines(caplog, level):
    return [
        r.getMessage()
        for r in caplog.records
        if r.name.startswith("feature_store.reporting.mail.") and r.levelno >= level
    ]
