"""What a mail says to do next, by the kind of failure."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from feature_store.declarations.suites import Check
from feature_store.errors import (
    CannotConnect,
    ContractBroken,
    HistoryLeak,
    LeakFound,
    LogBroken,
    NotReady,
    ProofsChanged,
    RowsLost,
    StoreError,
)
from feature_store.reporting.run.account import Account, Cause, FailedTask
from feature_store.reporting.run.next_steps import next_steps, section
from feature_store.settings import Settings
from tests.feature_store.reporting.mail.mails import (
    DAG,
    E_VIEW,
    RUN,
    differs,
    failed,
    finding,
    opened,
    record,
    refreshed,
    told,
)
from tests.relations import E_AI


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
    by_log = LogBroken("This run cannot certify the store:", next_step="Mend it first.")
    mend, again = told(None, {"base.x": "success"}, Account().raised(by_log)).steps
    assert (mend.words, mend.command) == ("Mend it first.", "")
    assert "dags trigger" in again.command


def test_a_failed_suite_is_not_sent_to_a_log_and_its_layer_not_to_the_advertisements():
    """Rows of one listing are no fault in the advertisements: each edit is a row."""
    account = failed("expectations.spam_absence")
    lost = finding(suite="uniqueness", expectation="rows_of_tom_features_v1_enriched_clean_mv")
    spam = finding(suite="spam_absence", relation="ml.tom_features_v1_enriched_clean_mv")
    twice = finding(suite="uniqueness", expectation="key_x", sample=({"listing_id": 1},))
    # It names a source and a key, but nobody counted rows.
    odd = finding(
        suite="uniqueness",
        expected="no odd row in iPhone.iphone_ai_enrich",
        sample=({"listing_id": 1, "share": 3.5},),
    )
    for found in ([spam, lost], [spam], [twice], [odd]):
        steps = next_steps(DAG, None, [], account, found, Settings().include_dir)
        assert [step.command for step in steps] == ["", f"airflow dags trigger {DAG}"]
        assert "What is broken is listed below" in steps[0].words
        assert not any("SELECT" in step.command or " log " in step.words for step in steps)


def test_spam_in_the_suite_that_checks_keys_is_no_key_that_is_there_twice(tmp_path):
    """A store may have all checks in one suite."""
    include = tmp_path / "include"
    shutil.copytree(Settings().include_dir, include)
    shutil.rmtree(include / "sql" / "expectations")
    checks = ", ".join(f'"{check}"' for check in Check)
    (include / "suites.toml").write_text(f'[all]\ntitle = "All."\nchecks = [{checks}]\n')
    found = [
        finding(
            suite="all", expectation=f"{name}tom_features_v1_enriched_ai_clean_mv", relation=E_AI
        )
        for name in ("no_spam_in_", "rows_of_", "")
    ]
    for one in found:
        steps = next_steps(DAG, None, [], failed("expectations.all"), [one], include)
        assert not any("SELECT" in step.command for step in steps)
    key = replace(found[0], expectation="key_tom_features_v1_enriched_ai_clean_mv_uq")
    steps = next_steps(DAG, None, [], failed("expectations.all"), [key], include)
    assert "SELECT" in steps[0].command


def test_the_runbook_has_the_section_that_a_mail_names():
    page = (Path(__file__).resolve().parents[4] / "docs" / "operations.md").read_text()
    headings = re.findall(r"^##+ (.*)$", page, flags=re.MULTILINE)
    causes = [CannotConnect("x"), NotReady("x"), RowsLost("x"), StoreError("x")]
    tasks = ["prepare", "base.x", "expectations.uniqueness"]
    raised = (HistoryLeak, ContractBroken, LogBroken, ProofsChanged)
    accounts = [Account(), *(Account().raised(kind("x")) for kind in raised)]
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


@pytest.mark.parametrize(
    ("layer", "source", "key"),
    [
        ("ml.tom_features_v1_enriched_ai_clean_mv", '"iPhone".iphone_ai_enrich', {"listing_id": 5}),
        (
            "feature_store.device_count_day_v1_mv",
            "feature_store.device_image_features_unified_v1",
            {"generation": 15, "listing_id": 5},
        ),
    ],
)
def test_a_key_that_is_twice_leads_over_the_proof_and_its_rows_are_to_be_deleted(
    scratch, layer, source, key
):
    """That rows differ follows from it: to refresh them all again would fail again."""
    columns, values = ", ".join(key), ", ".join(map(str, key.values()))
    table = source.partition(".")[2]
    scratch.run(
        f"ALTER TABLE {source} DROP CONSTRAINT {table}_pkey; "
        f"INSERT INTO {source} ({columns}) VALUES ({values}), ({values})"
    )
    opened(scratch, RUN)
    refreshed(scratch, layer, RUN)
    differs(scratch, [], relation=layer)
    record(
        scratch,
        suite="uniqueness",
        relation=layer,
        expected=f"{source} had one row per listing when it was read",
        sample=[{"repeated": 3, "sample": [{**key, "source_rows": 2}]}],
        breaching=1,
    )
    read = told(scratch, logical_date=datetime(2026, 6, 30, tzinfo=UTC))
    assert [f.suite for f in read.findings] == ["uniqueness", "as_of_counts"]
    rows, again = read.steps
    named = ", ".join(f"{column} {value}" for column, value in key.items())
    name = source.replace('"', "")
    assert rows.words == (
        f"{name} has 2 rows for {named}, and so on for 2 more keys. Delete all but one:"
    )
    assert len(scratch.rows(rows.command)) == 2
    assert "airflow tasks clear" in again.command


@pytest.mark.parametrize("other", ["iPhone.iphone_ai_enrich_old", "an_iPhone.iphone_ai_enrich"])
def test_rows_of_a_source_whose_name_only_begins_or_ends_alike_are_not_to_be_deleted(other):
    twice = finding(
        suite="uniqueness",
        relation=E_AI,
        expected=f"{other} had one row per listing.",
        sample=[{"listing_id": 7, "source_rows": 2}],
    )
    for expected, named in ((twice.expected, False), ("iPhone.iphone_ai_enrich.", True)):
        one = replace(twice, expected=expected)
        steps = next_steps(
            DAG, None, [], failed("expectations.uniqueness"), [one], Settings().include_dir
        )
        assert any("Delete all but one" in step.words for step in steps) is named


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


def test_after_proofs_are_stamped_the_whole_runs_again():
    """What was checked before the stamp counts no longer: to clear one task is too little."""
    changed = Cause.of(ProofsChanged("x"))
    for task in ("assert_contract", "expectations.uniqueness", "prepare"):
        account = Account(failed=(FailedTask(task, changed),))
        moment = datetime(2026, 6, 30, tzinfo=UTC)
        steps = told(None, {task: "failed"}, account, logical_date=moment).steps
        assert steps[-1].command == f"airflow dags trigger {DAG}"
