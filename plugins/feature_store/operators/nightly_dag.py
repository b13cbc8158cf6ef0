"""The nightly DAG of a store, made from its folder's outline. A DAG file calls it per store.

Airflow parses a DAG file again and again, so nothing here opens a database or imports slow modules.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import DAG, Asset, CronTriggerTimetable, Param, TaskGroup

from feature_store.declarations.dag_outline import (
    EXPECTATIONS,
    VERDICT,
    Outline,
    Refresh,
    in_order,
    read_outlines,
    refreshed_before,
)
from feature_store.declarations.feature_sets import FeatureSet, read_feature_sets
from feature_store.declarations.store_profile import read_profile
from feature_store.declarations.suites import read_suites
from feature_store.operators.dag_files import Call, refuse_second
from feature_store.operators.tasks import PrepareOperator, RefreshOperator, SuiteOperator
from feature_store.operators.verdict import AssertContractOperator
from feature_store.relation_name import LOG_SCHEMA, Name
from feature_store.settings import read_settings
from feature_store.store_address import addressed, of_store, options_of


def feature_store_dag(
    folder: Path | str | None = None,
    *,
    conn_id: str | None = None,
    schedule: str | None = None,
    doc_md: str | None = None,
) -> DAG:
    """Build the DAG of a store.

    Args:
        folder: the store's folder; None: that of ``FEATURE_STORE_INCLUDE_DIR``.
        conn_id: the Airflow connection to its database; None: that of ``FEATURE_STORE_CONN_ID``.
        schedule: when the nightly run starts, as cron; None: ``FEATURE_STORE_SCHEDULE``.
        doc_md: what Airflow shows of the DAG.

    Raises:
        BadInput: a setting, or a file of the folder that the outline needs, that cannot be used; or
            a DAG file beside this one has the DAG, the store or the connection already.
    """
    settings = read_settings()
    own = of_store(settings, folder, conn_id)
    include_dir = own.include_dir
    profile, outlines = read_profile(include_dir), read_outlines(include_dir)
    in_order(outlines)  # whether there is one: Airflow would not name the files
    refuse_second(Call.of(_caller(), own, profile), settings)
    feature_sets = read_feature_sets(include_dir)
    with DAG(
        dag_id=profile.dag_id,
        description="Refresh the feature store, prove it, check its contracts, certify it.",
        schedule=CronTriggerTimetable(
            schedule or settings.schedule, timezone=settings.schedule_zone
        ),
        start_date=pendulum.datetime(2025, 1, 1, tz=settings.schedule_zone),
        catchup=False,
        max_active_runs=1,
        # No pool: somebody would have to create it before the first run, and the lease in the
        # database already keeps runs apart. No weights: by default Airflow starts the task first
        # that most others wait for.
        default_args={
            "owner": "feature-store",
            "execution_timeout": timedelta(seconds=settings.task_timeout),
            "include_dir": None if folder is None else str(include_dir),
            "conn_id": conn_id,
        },
        tags=["feature-store", "postgresql"],
        doc_md=doc_md,
        params=_params(),
    ) as dag:
        _add_tasks(
            outlines,
            {name: suite.title for name, suite in read_suites(include_dir).items()},
            _assets(outlines, feature_sets, prefix=f"{profile.name}/" if options_of(own) else ""),
            addressed(own),
        )
    return dag


def _caller() -> Path:
    """The DAG file that is being read."""
    builder = inspect.currentframe()
    file = builder and builder.f_back and builder.f_back.f_back
    assert file  # called by `feature_store_dag` alone, which a file has called
    return Path(file.f_code.co_filename)


def _params() -> dict[str, Param]:
    return {
        "as_of_day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="As-of day",
            description="The day that the run answers for. Empty: the day of its logical date.",
        ),
        "refresh_unchanged": Param(
            False,
            type="boolean",
            title="Refresh unchanged",
            description="Refresh every relation, even those whose inputs have not changed.",
        ),
        "accept_shrink": Param(
            False,
            type="boolean",
            title="Accept lost rows",
            description="Refresh although sources or layers have lost many rows, because this is "
            "intended.",
        ),
    }


def _assets(
    outlines: Mapping[Name, Outline], feature_sets: Iterable[FeatureSet], prefix: str
) -> list[Asset]:
    """What others may wait for: what readers read, and the feature logs.

    Of a store beside that of the settings each begins with the store's name: two stores may have
    relations of one name, in two databases.
    """
    sets = list(feature_sets)
    carriers = {feature_set.relation for feature_set in sets}
    read = (
        str(name)
        for name, outline in outlines.items()
        if outline.refresh is Refresh.CONCURRENT or name in carriers
    )
    logs = (f"{LOG_SCHEMA}.{feature_set.name}" for feature_set in sets if feature_set.served)
    return [Asset(f"{prefix}{name}") for name in (*read, *logs)]


def _add_tasks(
    outlines: Mapping[Name, Outline],
    suites: Mapping[str, str],
    outlets: list[Asset],
    address: Callable[[str], str],
) -> None:
    prepare = PrepareOperator(
        task_id="prepare",
        doc_md="Takes the store's lease, and checks that a refresh can start. Changes nothing.",
    )
    groups = {
        Refresh.BLOCKING: TaskGroup("base", tooltip="Blocking: readers wait while each runs."),
        Refresh.CONCURRENT: TaskGroup("read", tooltip="Concurrent: readers never wait."),
    }
    with TaskGroup(EXPECTATIONS, tooltip="All at the same time, each to its end.") as expectations:
        for suite, title in suites.items():
            SuiteOperator(task_id=suite, suite=suite, doc_md=title)
    assert_contract = AssertContractOperator(
        task_id=VERDICT,
        trigger_rule="all_done",
        outlets=outlets,
        doc_md="The verdict: fails if anything failed before. Otherwise checks contracts, leak "
        "gates and history, and certifies the store.",
    )

    refreshes = {
        name: RefreshOperator(
            task_id=name.relation,
            relation=str(name),
            task_group=groups[outline.refresh],
            doc_md=address(_page(outline)),
        )
        for name, outline in outlines.items()
        if outline.refresh is not Refresh.NEVER
    }
    for name, refresh in refreshes.items():
        refresh << [refreshes[before] for before in sorted(refreshed_before(name, outlines))]

    prepare >> groups[Refresh.BLOCKING] >> groups[Refresh.CONCURRENT] >> expectations
    # The verdict comes after each task, not only after the last ones. A failure skips at once
    # everything behind it, but the verdict must wait for tasks that are still running.
    [prepare, *refreshes.values(), expectations] >> assert_contract


def _page(outline: Outline) -> str:
    """What Airflow shows of a refresh: the header of its SQL file."""
    fields = (f"- **{field}:** {words}" for field, words in outline.header.items())
    return "\n".join((*fields, "", f"`include/sql/{outline.refresh}/{outline.name}.sql`"))
