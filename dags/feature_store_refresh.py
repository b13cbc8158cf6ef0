"""### Nightly refresh of the feature store

    prepare ─► base (blocking) ─► read (concurrent) ─► expectations ─► assert_contract

**What it does.** `prepare` takes the store's lease and checks, without changing anything, that a
refresh can start. `base` refreshes the base materialized views; readers wait while each is
refreshed. `read` refreshes the read layers concurrently; readers never wait. `expectations` proves
and checks what was refreshed, by what the refreshes saw, never by live sources. `assert_contract`
always runs, last: it fails if anything failed before, else it holds the feature sets to their
contracts and certifies the store; assets of what readers read, and of the feature logs, get their
events only then. Order within the groups comes from what the SQL files read.

**When it fails.** One mail says what broke, what readers see and the next command; so does the log
of `assert_contract`, which also names the run's report, an HTML file. A failure in `prepare` has
changed nothing. After mending, clear the failed task with what follows it; the store is readable
meanwhile.

**A manual run** may be given its as-of day and told to refresh even what has not changed, or that
lost rows are meant; the trigger form says how. **More:** README.md and docs/ beside this DAG's
folder.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import airflow
import pendulum

# What follows would fail later, and in words that do not say why.
if tuple(int(part) for part in airflow.__version__.split(".")[:2]) < (3, 3):
    raise ImportError(
        f"feature_store_refresh needs Airflow 3.3 or later; this is {airflow.__version__}."
    )

from airflow.sdk import DAG, Asset, CronTriggerTimetable, Param, TaskGroup

# In a bundle, such as a git checkout, Airflow knows this file and not the package beside it. The
# package of this very checkout comes first, so that a bundle's version is one version throughout.
PACKAGE = str(Path(__file__).resolve().parents[1] / "plugins")
if PACKAGE not in sys.path:
    sys.path.insert(0, PACKAGE)

from feature_store.declarations.dag_outline import (  # noqa: E402
    EXPECTATIONS,
    VERDICT,
    Outline,
    Refresh,
    read_outlines,
    refreshed_before,
)
from feature_store.declarations.feature_sets import read_feature_sets  # noqa: E402
from feature_store.declarations.suites import read_suites  # noqa: E402
from feature_store.operators.tasks import (  # noqa: E402
    PrepareOperator,
    RefreshOperator,
    SuiteOperator,
)
from feature_store.operators.verdict import AssertContractOperator  # noqa: E402
from feature_store.relation_name import LOG_SCHEMA  # noqa: E402
from feature_store.settings import read_settings  # noqa: E402

settings = read_settings()
outlines = read_outlines(settings.include_dir)
feature_sets = read_feature_sets(settings.include_dir)
carriers = {feature_set.relation for feature_set in feature_sets}


def page(outline: Outline) -> str:
    """What Airflow shows of a refresh: the header of its SQL file."""
    fields = (f"- **{field}:** {words}" for field, words in outline.header.items())
    return "\n".join((*fields, "", f"`include/sql/{outline.refresh}/{outline.name}.sql`"))


with DAG(
    dag_id="feature_store_refresh",
    description="Refresh the feature store, prove it, hold it to its contracts, certify it.",
    schedule=CronTriggerTimetable(settings.schedule, timezone=settings.schedule_zone),
    start_date=pendulum.datetime(2025, 1, 1, tz=settings.schedule_zone),
    catchup=False,
    max_active_runs=1,
    # No pool: it would have to be made by hand before the first run, and the lease in the database
    # keeps runs apart already. No weights: Airflow's own put the task first that most others
    # wait for.
    default_args={
        "owner": "feature-store",
        "execution_timeout": timedelta(seconds=settings.task_timeout),
    },
    tags=["feature-store", "postgresql"],
    doc_md=__doc__,
    params={
        "as_of_day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="As-of day",
            description="The day that the run answers for; empty: its logical date's day.",
        ),
        "refresh_unchanged": Param(
            False,
            type="boolean",
            title="Refresh unchanged",
            description="Refresh every relation, even one of which nothing that it reads changed.",
        ),
        "accept_shrink": Param(
            False,
            type="boolean",
            title="Accept lost rows",
            description="Refresh although sources or layers have lost many of their rows: it is "
            "meant.",
        ),
    },
) as dag:
    prepare = PrepareOperator(
        task_id="prepare",
        doc_md="Takes the store's lease, and checks that a refresh can start. Changes nothing.",
    )
    groups = {
        Refresh.BLOCKING: TaskGroup("base", tooltip="Blocking: readers wait while each runs."),
        Refresh.CONCURRENT: TaskGroup("read", tooltip="Concurrent: readers never wait."),
    }
    with TaskGroup(EXPECTATIONS, tooltip="Side by side, each to its end.") as expectations:
        for suite, declared in read_suites(settings.include_dir).items():
            SuiteOperator(task_id=suite, suite=suite, doc_md=declared.title)
    assert_contract = AssertContractOperator(
        task_id=VERDICT,
        trigger_rule="all_done",
        outlets=[
            Asset(str(name))
            for name, outline in outlines.items()
            if outline.refresh is Refresh.CONCURRENT or name in carriers
        ]
        + [Asset(f"{LOG_SCHEMA}.{s.name}") for s in feature_sets if s.served],
        doc_md="The verdict: fails if anything failed before, else holds the feature sets to their "
        "contracts, the leak gates and history, and certifies the store.",
    )

    refreshes = {
        name: RefreshOperator(
            task_id=name.relation,
            relation=str(name),
            task_group=groups[outline.refresh],
            doc_md=page(outline),
        )
        for name, outline in outlines.items()
        if outline.refresh is not Refresh.NEVER
    }
    for name, refresh in refreshes.items():
        refresh << [refreshes[before] for before in sorted(refreshed_before(name, outlines))]

    prepare >> groups[Refresh.BLOCKING] >> groups[Refresh.CONCURRENT] >> expectations
    # After each task, not only after the last ones: the first failure gives up at once all that
    # comes after it, and the verdict waits for what is still at work beside it.
    [prepare, *refreshes.values(), expectations] >> assert_contract
