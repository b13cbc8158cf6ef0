"""### Nightly refresh of the feature store

    prepare ─► base (blocking) ─► read (concurrent) ─► expectations ─► assert_contract

**What it does.** `prepare` takes the store's lease and checks, without changing anything, that a
refresh can start. `base` refreshes the base materialized views; readers wait while each is
refreshed. `read` refreshes the read layers concurrently; readers never wait. `expectations` proves
and checks what was refreshed, by what the refreshes saw, never by live sources. `assert_contract`
always runs, last: it fails if anything failed before, else it holds the feature sets to their
contracts and certifies the store; assets of what readers read get their events only then. Order
within the groups comes from what the SQL files read.

**When it fails.** One mail says what broke, what readers see and the next command; so does the log
of `assert_contract`, which also names the run's report, an HTML file. A failure in `prepare` has
changed nothing. After mending, clear the failed task with what follows it; the store is readable
meanwhile.

**Parameters of a manual run.** `as_of_day` (YYYY-MM-DD): the day that the run answers for, instead
of its logical date's day.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, Asset, CronTriggerTimetable, Param, TaskGroup

from feature_store.contracts import read_feature_sets
from feature_store.mail.mails import mail_failure
from feature_store.operators import PrepareOperator, RefreshOperator, SuiteOperator
from feature_store.settings import read_settings
from feature_store.store import SUITES, Refresh, read_store
from feature_store.verdict import AssertContractOperator

settings = read_settings()
store = read_store(settings.include_dir)
carriers = {feature_set.relation for feature_set in read_feature_sets(settings.include_dir)}

with DAG(
    dag_id="feature_store_refresh",
    schedule=CronTriggerTimetable(settings.schedule, timezone=settings.schedule_zone),
    start_date=pendulum.datetime(2025, 1, 1, tz=settings.schedule_zone),
    catchup=False,
    max_active_runs=1,
    tags=["feature-store"],
    doc_md=__doc__,
    params={
        "as_of_day": Param(
            None,
            type=["null", "string"],
            format="date",
            description="The day that the run answers for; empty: its logical date's day.",
        ),
        "refresh_unchanged": Param(
            False,
            type="boolean",
            description="Refresh every relation, even one of which nothing that it reads changed.",
        ),
    },
) as dag:
    prepare = PrepareOperator(task_id="prepare")
    groups = {
        Refresh.BLOCKING: TaskGroup("base", tooltip="Blocking: readers wait while each runs."),
        Refresh.CONCURRENT: TaskGroup("read", tooltip="Concurrent: readers never wait."),
    }
    with TaskGroup("expectations", tooltip="Side by side, each to its end.") as expectations:
        for suite in SUITES:
            SuiteOperator(task_id=suite, suite=suite)
    assert_contract = AssertContractOperator(
        task_id="assert_contract",
        trigger_rule="all_done",
        outlets=[
            Asset(str(relation.name))
            for relation in store.relations
            if relation.refresh is Refresh.CONCURRENT or relation.name in carriers
        ],
        on_failure_callback=mail_failure,
    )

    refreshes = {}
    for relation in store.refreshed:
        refreshes[relation.name] = RefreshOperator(
            task_id=relation.name.relation,
            relation=str(relation.name),
            task_group=groups[relation.refresh],
        )
        refreshes[relation.name] << [refreshes[r.name] for r in store.refreshed_before(relation)]

    prepare >> groups[Refresh.BLOCKING] >> groups[Refresh.CONCURRENT] >> expectations
    expectations >> assert_contract
