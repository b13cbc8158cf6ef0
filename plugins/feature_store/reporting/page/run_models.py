"""What the page says of runs: their list, and one of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from feature_store.reporting.store.models import FindingLine, Plain, RunLine


class Runs(Plain):
    """Runs, latest first."""

    zone: str = Field(description="The store's time zone; times are shown in it.")
    runs: list[RunLine]
    more: bool = Field(description="Whether there are older ones.")


class TaskLine(Plain):
    """A task of a run, as Airflow has it."""

    task_id: str
    state: str | None
    tries: int
    started_at: datetime | None
    seconds: float | None
    link: str = Field(description="Its page in Airflow, relative to Airflow's address.")


class ExpectationLine(Plain):
    """The result of one expectation of a run."""

    suite: str
    expectation: str
    relation: str
    severity: str
    result: str = Field(description="met, broken or error (could not be checked).")
    expected: str
    observed: str
    sample: list[dict[str, Any]] = Field(description="Up to 20 offending rows.")


class RefreshLine(Plain):
    """One relation as a run left it."""

    relation: str
    label: str
    mode: str
    rows: int
    seconds: float
    finished_at: datetime
    reused: str = Field(description="Why it was not refreshed again; empty if it was refreshed.")


class StepLine(Plain):
    """Something to do about a failed run, as its mail says it."""

    words: str
    command: str = Field(description="To be typed, or SQL to be run; empty if there is none.")


class RunDetail(Plain):
    """One run, whole."""

    zone: str = Field(description="The store's time zone; times are shown in it.")
    run: RunLine
    steps: list[StepLine] = Field(description="What to do, in order; empty if it did not fail.")
    expectations: list[ExpectationLine] = Field(description="What is wrong comes first.")
    refreshes: list[RefreshLine]
    findings: list[FindingLine]
    tasks: list[TaskLine]
    tasks_words: str = Field(description="Why there are no tasks, if so.")
    report: str = Field(description="Its report's address, relative to the page.")
