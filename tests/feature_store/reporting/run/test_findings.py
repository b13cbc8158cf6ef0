"""Which findings and proofs of a run count: mail, page and report ask the view ``finding``."""

from __future__ import annotations

import json

import pytest

from feature_store.reporting.page.runs import latest_runs, read_run
from feature_store.reporting.page.tasks import RunTasks
from feature_store.reporting.run.account import Account
from feature_store.reporting.run.read import read_record
from feature_store.reporting.store.store_files import read_files
from tests.feature_store.reporting.mail.mails import (
    DAG,
    E_VIEW,
    RUN,
    differs,
    failed,
    opened,
    record,
    told,
)

_SUITE = "expectations.as_of_counts"


def fails(db, account: Account) -> None:
    db.connection.execute(
        "INSERT INTO feature_store_audit.verdict_log (dag_id, run_id, verdict, problem, account) "
        "VALUES (%s, %s, 'failed', 'Tasks failed.', %s)",
        (DAG, RUN, json.dumps(account.record())),
    )


def checked_anew(db) -> None:
    db.run(
        "INSERT INTO feature_store_audit.suite_log (dag_id, run_id, suite) "
        f"VALUES ('{DAG}', '{RUN}', 'as_of_counts')"
    )


@pytest.fixture
def not_reached(scratch):
    """A run whose suite found something in its first go, and was not reached in its last."""
    differs(scratch, [])
    fails(scratch, failed("base.x", never_ran=[_SUITE]))
    return scratch


def test_proofs_of_a_suite_that_the_last_go_did_not_reach_do_not_stand_in_the_report(not_reached):
    read = read_record(not_reached.connection, DAG, RUN)
    assert (read.findings, read.proofs) == ((), ())
    assert told(not_reached, {"base.x": "failed"}, recorded=True).findings == ()


def test_what_a_suite_found_after_the_verdict_counts_in_mail_and_page(not_reached, settings):
    checked_anew(not_reached)
    differs(not_reached, [{"key": {"listing_id": 7}}])
    account = failed("base.x", never_ran=[_SUITE])
    mailed = told(not_reached, {"base.x": "failed"}, account, recorded=True)
    assert [f.relation for f in mailed.findings] == [E_VIEW]
    files = read_files(settings.include_dir)
    page = read_run(not_reached.connection, settings, files, DAG, RUN, RunTasks())
    assert [step.words for step in page.steps] == [step.words for step in mailed.steps]
    assert [proof.proof for proof in read_record(not_reached.connection, DAG, RUN).proofs] == [
        E_VIEW
    ]


def test_while_the_verdict_is_not_recorded_the_mail_alone_knows_what_did_not_run(scratch):
    differs(scratch, [])
    account = failed("base.x", never_ran=[_SUITE])
    assert told(scratch, {"base.x": "failed"}, account).findings == ()


def test_the_list_of_runs_counts_as_the_run_itself(scratch, settings):
    opened(scratch, RUN)
    outcomes = [("met", "critical"), ("met", "warning"), ("broken", "critical")]
    outcomes += [("broken", "warning")] * 2 + [("error", "critical"), ("error", "warning")]
    for number, (outcome, severity) in enumerate(outcomes):
        record(scratch, outcome, expectation=f"e{number}", severity=severity)
    read = read_record(scratch.connection, DAG, RUN)
    files = read_files(settings.include_dir)
    (line,) = latest_runs(scratch.connection, 5)
    page = read_run(scratch.connection, settings, files, DAG, RUN, RunTasks()).run
    assert page == line
    assert (line.met, line.warnings, line.broken, line.errors) == (2, 2, 1, 2)
    assert (read.met, len(read.warnings), len(read.broken), len(read.errors)) == (2, 2, 1, 2)


def test_a_sum_up_that_holds_more_than_numbers_is_read(scratch):
    """A store's own query may select a text and a NULL beside its sample."""
    record(scratch, sample=[{"n": 1234, "what": "late", "of": None, "sample": [{"id": 7}]}])
    (found,) = read_record(scratch.connection, DAG, RUN).findings
    assert set(found.observed.split(", ")) == {"n: 1,234", "what: late", "of: None"}
    assert list(found.sample) == [{"id": 7}]
