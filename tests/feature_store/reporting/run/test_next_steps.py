"""What a mail says to do next, by the kind of failure."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest

from feature_store.declarations.store_definition import read_store
from feature_store.declarations.suites import Check
from feature_store.errors import (
    BadParameter,
    CannotConnect,
    CheckInterrupted,
    ConnectionRefused,
    ContractBroken,
    DuplicateKey,
    ExpectationsBroken,
    HistoryLeak,
    IsStandby,
    LeakFound,
    LogBroken,
    NotReady,
    ProofsChanged,
    RowsLost,
    StoreError,
)
from feature_store.operators.run_opening import _refuse_other_zone
from feature_store.reporting.run.account import Account, Cause, FailedTask
from feature_store.reporting.run.headline import what_broke
from feature_store.reporting.run.next_steps import next_steps, section
from feature_store.reporting.run.run_again import PastRun
from feature_store.reporting.run.step import Step
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


def test_a_database_that_answered_and_refused_is_not_said_to_have_been_silent():
    told_so = "The database refused the connection. This says nothing about the data."
    refused = ConnectionRefused(f"{ConnectionRefused.BEGINS}too many connections\nCannot connect")
    unchecked = finding(outcome="error", observed=refused.problem.splitlines()[0])
    suite = Account(failed=(FailedTask("expectations.x", Cause("", "CheckInterrupted")),))
    for account, found in (
        (_failed(refused, "base.x"), []),
        (Account().raised(refused), []),
        (suite, [unchecked]),
    ):
        assert any(step.words.startswith(told_so) for step in _steps(account, found))
        assert "too many connections" in what_broke(account, found)[:80]
    silent = _steps(_failed(CannotConnect("down"), "base.x"))
    assert "The database did not answer." in silent[0].words


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
        steps = next_steps(PastRun(DAG), account, found, Settings().include_dir)
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
        steps = next_steps(PastRun(DAG), failed("expectations.all"), [one], include)
        assert not any("SELECT" in step.command for step in steps)
    key = replace(found[0], expectation="key_tom_features_v1_enriched_ai_clean_mv_uq")
    steps = next_steps(PastRun(DAG), failed("expectations.all"), [key], include)
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
    cause = Cause.of(DuplicateKey("x", next_step="Find the rows."))  # as a refresh raises it
    step, again = told(None, {task: "failed"}, Account(failed=(FailedTask(task, cause),))).steps
    assert [row[0] for row in scratch.rows(step.command)] == [5, 5]
    assert "airflow " in again.command
    # No source of a base layer has its key: each edit of a listing is a row.
    base = "base.tom_features_v1_mv"
    words, again = told(None, {base: "failed"}, Account(failed=(FailedTask(base, cause),))).steps
    assert words == Step("Find the rows.")


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
            PastRun(DAG), failed("expectations.uniqueness"), [one], Settings().include_dir
        )
        assert any("Delete all but one" in step.words for step in steps) is named


def test_what_was_refreshed_first_leads_for_the_rest_may_follow_from_it(scratch):
    later = "ml.tom_features_v1_enriched_speed_mv"
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


MOMENT = datetime(2026, 6, 30, 1, 20, tzinfo=UTC)
CLEARED = "--start-date 2026-06-30T01:20:00+00:00 --end-date 2026-06-30T01:20:00+00:00"
NEW = f"airflow dags trigger {DAG}"
BACKFILL = (
    f"airflow backfill create --dag-id {DAG} --from-date 2026-06-30T01:20:00+00:00 "
    "--to-date 2026-06-30T01:20:00+00:00 --reprocess-behavior failed"
)


def _steps(account, found=(), **run):
    past = PastRun(DAG, **{"logical_date": MOMENT, "given": {}} | run)
    return next_steps(past, account, found, Settings().include_dir)


def _failed(cause, *tasks):
    return Account(failed=tuple(FailedTask(task, Cause.of(cause)) for task in tasks))


@pytest.mark.parametrize(
    ("cause", "tasks"),
    [
        (psycopg.errors.AdminShutdown("x"), ("base.sold_prices_v1_mv", "base.y")),
        (psycopg.errors.DiskFull("x"), ("base.sold_prices_v1_mv", "read.y")),
        (CheckInterrupted("x"), ("expectations.uniqueness", "expectations.as_of_counts")),
    ],
)
def test_what_failed_side_by_side_is_all_run_again(cause, tasks):
    """One of them with what follows it would leave the others failed."""
    *_, again = _steps(_failed(cause, *tasks), tasks=("prepare", *tasks))
    assert again.command == f"airflow tasks clear {DAG} --only-failed {CLEARED}"
    for one in tasks:
        *_, again = _steps(_failed(cause, one), tasks=("prepare", *tasks))
        assert f"--task-regex {one} --downstream" in again.command
    # All suites follow a refresh.
    *_, again = _steps(_failed(cause, "base.x", "expectations.uniqueness"))
    assert "--task-regex base.x --downstream" in again.command


@pytest.mark.parametrize(
    ("broken", "lead"),
    [
        # E reads D1 by way of others, and the view over E is read by none of them.
        (("ml.tom_features_v1_enriched_mv", "ml.sold_prices_v1_mv"), "base.sold_prices_v1_mv"),
        ((E_AI, "feature_store.device_count_day_v1_mv"), None),
        ((E_AI,), "read.tom_features_v1_enriched_ai_clean_mv"),
    ],
)
def test_of_several_broken_layers_the_one_below_all_others_is_run_again(broken, lead):
    store = read_store(Settings().include_dir)
    tasks = [f"{one.refresh}.{one.name.relation}" for one in store.refreshed]
    account = failed("expectations.spam_absence")
    found = [finding(suite="spam_absence", relation=relation) for relation in broken]
    for order in (found, found[::-1]):
        *_, again = _steps(account, order, tasks=tasks)
        clear = f"airflow tasks clear {DAG} --task-regex {lead} --downstream {CLEARED}"
        assert again.command == (clear if lead else NEW)


BAD = BadParameter("x", next_step="Start the run again with a day, or without the parameter.")


@pytest.mark.parametrize(
    ("given", "conf"),
    [
        ({"as_of_day": "2999-01-01"}, {}),
        ({"as_of_day": "2999-01-01", "accept_shrink": True}, {"accept_shrink": True}),
        ({"as_of_day": "2026-06-12", "accept": True}, {"as_of_day": "2026-06-12"}),
        ({"as_of_day": "2026-06-12", "accept_shrink": 1}, {"as_of_day": "2026-06-12"}),
        (
            {"as_of_day": "a password", "accept": True, "accept_shrink": True},
            {"accept_shrink": True},
        ),
    ],
)
def test_a_bad_parameter_is_left_out_of_a_new_run_for_a_cleared_one_keeps_it(given, conf):
    account = _failed(BAD, "prepare")
    words, again = _steps(account, tasks=("prepare",), given=given)
    assert words == Step(BAD.next_step)
    assert again.command == f"{NEW} --conf '{json.dumps(conf)}'" if conf else NEW
    # A backfill is created again; no run takes the place of one of its runs.
    _, again = _steps(account, tasks=("prepare",), given=given, run_type="backfill")
    assert again.command == f"{BACKFILL} --dag-run-conf '{json.dumps(conf)}'"


ON_THAT_DAY = """ --conf '{"as_of_day": "2026-06-12", "accept_shrink": true}'"""


def test_a_new_run_is_given_what_the_failed_one_was_given():
    given = {"as_of_day": "2026-06-12", "accept_shrink": True, "refresh_unchanged": False, "x": 1}
    changed = Account(failed=(FailedTask("prepare", Cause.of(ProofsChanged("x"))),))
    *_, again = _steps(changed, given=given)
    assert again.command == NEW + ON_THAT_DAY
    lost, _ = _steps(_failed(RowsLost("x"), "prepare"), given={"as_of_day": "2026-06-12"})
    assert lost.command == NEW + ON_THAT_DAY
    anew, _ = _steps(Account(), [finding(compared=5, breaching=1)], given={"accept_shrink": True})
    assert anew.command == (
        NEW + """ --conf '{"accept_shrink": true, "refresh_unchanged": true}'"""
    )
    *_, unknown = _steps(changed, given=None)
    assert unknown.command == NEW
    assert "with what that run was given, if anything" in unknown.words
    *_, nothing = _steps(changed, given={})
    assert "given" not in nothing.words


def test_a_run_of_a_backfill_is_cleared_as_a_whole_for_a_new_run_answers_for_today():
    refused = Account().raised(NotReady("This run cannot certify the store:"))
    (again,) = _steps(refused, run_type="backfill", tasks=("prepare", "base.x"))
    assert again.command == f"airflow tasks clear {DAG} {CLEARED}"
    (late,) = _steps(refused, run_type="backfill", logical_date=None, given=None)
    assert late.command == ""
    assert "another day" in late.words
    lost, again = _steps(_failed(RowsLost("x"), "prepare"), run_type="backfill")
    assert lost.command == f"{BACKFILL} --dag-run-conf '{{\"accept_shrink\": true}}'"
    assert "--task-regex prepare --downstream" in again.command
    differs = [finding(compared=5, breaching=1)]
    anew, _ = _steps(Account(), differs, run_type="backfill", given={"accept_shrink": True})
    conf = '{"accept_shrink": true, "refresh_unchanged": true}'
    assert anew.command == f"{BACKFILL} --dag-run-conf '{conf}'"
    late, _ = _steps(Account(), differs, run_type="backfill", logical_date=None, given=None)
    assert late.command == ""
    assert "--reprocess-behavior failed" in late.words


def test_a_new_run_of_an_older_day_is_given_that_day():
    day = date(2026, 6, 12)
    refused = Account().raised(NotReady("x"))
    of_day = f'{NEW} --conf \'{{"as_of_day": "2026-06-12"}}\''

    def again(**run):
        return _steps(refused, as_of_day=day, **run)[-1].command

    assert again(run_type="manual") == of_day, "the form to trigger a run asks for a logical date"
    assert again(run_type="manual", logical_date=None, given=None) == of_day, "of a late mail"
    assert again(run_type="manual", given={"as_of_day": "2026-06-01"}) == of_day.replace("12", "01")
    (lost, _) = _steps(_failed(RowsLost("x"), "prepare"), run_type="manual", as_of_day=day)
    assert lost.command == (
        f'{NEW} --conf \'{{"as_of_day": "2026-06-12", "accept_shrink": true}}\''
    )
    # A manual run without either answers for the day on which it starts, as a new nightly one does.
    assert again(run_type="manual", logical_date=None) == NEW
    assert again(run_type="scheduled") == NEW


def test_rows_that_are_broken_lead_where_another_suite_lost_the_database():
    lost = FailedTask("expectations.uniqueness", Cause("connection lost", "CheckInterrupted"))
    broken = FailedTask("expectations.spam_absence", Cause("1 is broken", "ExpectationsBroken"))
    found = [
        finding(suite="spam_absence", relation=E_VIEW),
        finding(suite="as_of_counts", outcome="error", observed="connection lost"),
    ]
    for tasks in ((broken, lost), (lost, broken)):
        account = Account(failed=tasks)
        words = " ".join(step.words for step in _steps(account, found))
        assert "did not answer" not in words
        assert "What is broken is listed below" in words
    # A layer before it has failed: what was found then is not what the run is about.
    own = Account(failed=(FailedTask("base.x", Cause("down", "CannotConnect")), broken))
    assert "did not answer" in _steps(own, found)[0].words
    # The layer's task is cleared with what follows it, and so is every suite.
    (_, again) = _steps(account, found, tasks=("read.tom_features_v1_enriched_mv",))
    assert "--task-regex read.tom_features_v1_enriched_mv --downstream" in again.command
    (_, again) = _steps(account, [finding(relation="ml.a_view")], tasks=("prepare",))
    assert "--only-failed" in again.command, "no layer is broken: all that failed"


def test_what_is_not_ready_says_itself_what_to_do_if_plan_would_not_show_it():
    """`bin/feature-store plan` knows nothing of another machine's zone."""
    with pytest.raises(NotReady) as zone:
        _refuse_other_zone("Europe/Berlin", Settings())
    mend, again = _steps(_failed(zone.value, "base.x"), tasks=("base.x",))
    assert mend == Step(zone.value.next_step)
    assert again.command == NEW
    restore = NotReady("x", next_step="Restore or fix the file, then clear this task.")
    mend, again = _steps(_failed(restore, "base.x"), tasks=("base.x",))
    assert mend == Step(restore.next_step)
    assert "--task-regex base.x --downstream" in again.command
    for step in (None, "Run `bin/feature-store plan` to see what is missing, then a new run."):
        plan, again = _steps(_failed(NotReady("x", next_step=step), "base.x"), tasks=("base.x",))
        assert plan.command == "bin/feature-store plan"
        assert "airflow tasks clear" in again.command


def test_what_prepare_finds_and_plan_does_not_look_at_is_not_sent_to_plan():
    words = "Fix the above (`bin/feature-store grants` has every privilege), then run again."
    mend, again = _steps(_failed(NotReady("x", next_step=words), "prepare"), tasks=("prepare",))
    assert mend == Step(words)
    assert "--task-regex prepare --downstream" in again.command


def test_after_a_guard_all_is_run_again_for_it_also_looks_at_what_was_refreshed_before():
    refused = ExpectationsBroken("x", next_step="Fix the above in the sources.")
    mend, again = _steps(_failed(refused, "read.y"), tasks=("prepare", "base.x", "read.y"))
    assert (mend, again.command) == (Step(refused.next_step), NEW)
    *_, again = _steps(_failed(refused, "read.y"), tasks=("read.y",), run_type="backfill")
    assert again.command == f"airflow tasks clear {DAG} {CLEARED}"


def test_a_task_that_lost_the_database_does_not_hide_what_another_one_found():
    lost = FailedTask("read.b", Cause.of(CannotConnect("down")))
    twice = FailedTask("read.a", Cause.of(DuplicateKey("x", next_step="Find the rows.")))
    mend, beside, again = _steps(Account(failed=(twice, lost)), tasks=("read.a", "read.b"))
    assert mend == Step("Find the rows.")
    assert beside.words == "read.b lost the database. This says nothing about its data."
    assert "--only-failed" in again.command


def test_a_layer_that_was_left_out_is_not_told_as_wrong_rows():
    left_out = finding(relation="feature_store_audit.refresh")
    words, again = _steps(Account(), [left_out], tasks=("prepare",))
    assert "Nothing is known to be wrong with its rows" in words.words
    assert again.words.startswith("To go on")


def test_rows_of_a_plain_view_that_differ_are_not_refreshed_again():
    view = finding(relation="feature_store.v_device_meta_base_t0_v1", compared=5, breaching=1)
    words = " ".join(f"{step.words} {step.command}" for step in _steps(Account(), [view]))
    assert "refresh_unchanged" not in words
    assert "Fix the rows or the SQL" in words


def test_a_database_without_room_is_not_said_to_have_been_silent():
    full = "(psycopg.errors.DiskFull) could not extend file"
    account = Account(failed=(FailedTask("expectations.x", Cause("", "CheckInterrupted")),))
    words, _ = _steps(account, [finding(outcome="error", observed=full)])
    assert words.words.startswith(f"The database could not do it: {full}.")
    lost = "(psycopg.errors.AdminShutdown) terminating connection"
    found = [finding(outcome="error", observed=observed) for observed in (full, lost)]
    words, _ = _steps(account, found)
    assert words.words.startswith("The database did not answer.")


def test_of_a_standby_it_is_said_how_to_find_the_primary_and_not_that_it_is_silent():
    standby = IsStandby("It only reads.", next_step="Let the connection find the primary.")
    mend, again = _steps(_failed(standby, "prepare"), tasks=("prepare",))
    assert mend == Step(standby.next_step)
    assert "--task-regex prepare --downstream" in again.command


def test_a_backfill_is_created_again_once_the_one_under_way_has_ended():
    """Airflow takes none while another of the DAG is at work."""
    lost, _ = _steps(_failed(RowsLost("x"), "prepare"), run_type="backfill")
    assert "once the backfill under way has ended" in lost.words
