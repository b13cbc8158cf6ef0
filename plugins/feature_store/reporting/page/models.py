"""The page's JSON. The OpenAPI schema is made from it, so every field says what it means."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Plain(BaseModel):
    """An immutable value."""

    model_config = ConfigDict(frozen=True)


class Standing(StrEnum):
    """The state of the whole store, in one word."""

    CERTIFIED = "certified"
    REVIEW = "review"
    RUNNING = "running"
    STALE = "stale"
    FAILED = "failed"
    EMPTY = "empty"


class RelationState(StrEnum):
    """How a relation's rows compare with what was proven."""

    CERTIFIED = "certified"
    UNPROVEN = "unproven"
    WITHDRAWN = "withdrawn"
    REWRITTEN = "rewritten"
    NEVER = "never refreshed"
    LIVE = "live view"
    MISSING = "missing"


class Verdict(Plain):
    """The store in one line, and what to do next."""

    standing: Standing
    words: str = Field(description="One sentence: fresh and certified, or why not.")
    next_step: str = Field(
        default="", description="The next command, or what to do; empty if there is none."
    )


class RunLine(Plain):
    """A run of the DAG, as the audit tables have it."""

    dag_id: str
    run_id: str
    run_type: str
    as_of_day: date
    prepared_at: datetime
    verdict: str | None = Field(description="passed or failed; null while there is none.")
    verdict_at: datetime | None
    problem: str | None = Field(description="Why it failed, in words.")
    cause: str = Field(
        default="", description="The first cause, in one line; only if the whole run is read."
    )
    met: int = Field(description="Expectations met.")
    warnings: int = Field(description="Expectations of severity warning that were broken.")
    broken: int = Field(description="Expectations of severity critical that were broken.")
    errors: int = Field(description="Expectations that could not be checked.")


class RelationNow(Plain):
    """A relation and its last refresh."""

    name: str
    label: str = Field(description="Its short name in the documents, such as E-clean.")
    what: str = Field(description="What it is in a few words, from its SQL file.")
    grain: str = Field(description="What one row of it is, from its SQL file.")
    layer: str = Field(description="base, read or views: how it is refreshed.")
    level: int = Field(description="Steps from the sources; 0 if it reads only sources.")
    reads: list[str] = Field(description="Relations and sources that its SQL file reads.")
    state: RelationState
    state_words: str
    rows: int | None
    bytes: int | None
    seconds: float | None
    mode: str | None = Field(description="blocking or concurrent.")
    refreshed_at: datetime | None
    dag_id: str | None
    run_id: str | None
    stands_on: list[str] = Field(
        default=[], description="Short names of unproven relations that it reads, at any distance."
    )
    reused: str | None = Field(description="Why the latest run did not refresh it again, if so.")


class ExceptionLine(Plain):
    """A declared exception: where a feature sees more than was known at t0."""

    id: str
    title: str
    reason: str
    relation: str
    badge: str = Field(description="The badge of the features that it reaches.")
    taints: dict[str, list[str]] = Field(description="Features that it reaches, by feature set.")


class ContractNow(Plain):
    """A feature set as it was stamped, compared with the live relation now."""

    name: str
    schema_name: str
    relation: str
    n_features: int | None
    stamped_hash: str | None = Field(description="null if never stamped.")
    live_hash: str | None
    holds: bool
    problems: list[str]
    readable: bool = Field(default=False, description="require_certified lets its readers through.")
    refused_for: list[str] = Field(default=[], description="Short names of what is not proven.")


class FindingLine(Plain):
    """A day of a layer that changed after it was settled."""

    finding_id: int
    kind: str = Field(description="review, leak, definition or ai.")
    layer: str
    relation: str
    day: date | None = Field(description="The t0 day, sold day or ask day that changed.")
    came: int
    went: int
    changed: int
    columns: list[str]
    details: str
    found_at: datetime
    dag_id: str
    run_id: str
    outcome: str | None = Field(description="null while it is open.")
    closed_by: str | None
    reason: str | None


class Now(Plain):
    """The store now."""

    read_at: datetime
    zone: str
    verdict: Verdict
    certified_words: str
    under_way: str | None = Field(description="The run that has the lease.")
    latest: RunLine | None
    sources: list[str]
    relations: list[RelationNow]
    contracts: list[ContractNow]
    exceptions: list[ExceptionLine]
    leaks: list[FindingLine]
    reviews: list[FindingLine]


class RelationNights(Plain):
    """One relation over time, oldest first; all lists have the same length."""

    name: str
    label: str
    layer: str
    finished_at: list[datetime]
    rows: list[int]
    bytes: list[int]
    seconds: list[float]


class Nights(Plain):
    """The store over time."""

    zone: str
    since: date
    runs: list[RunLine] = Field(description="Oldest first.")
    relations: list[RelationNights]
    findings: list[FindingLine] = Field(description="Found in this span, open or closed.")


class FeatureLine(Plain):
    """A feature of a set, as its contract has it."""

    feature_set: str
    ordinal: int
    name: str
    dtype: str
    is_nullable: bool
    description: str
    leakage_rule: str = Field(
        description="As in the stamped contract. If the badge says otherwise, the badge is right."
    )
    badge: str = Field(description="What its values know: one of the badges.")
    exceptions: list[str] = Field(description="Ids of the declared exceptions that reach it.")
    owner: str = Field(description="Who answers questions about it; empty if not declared.")
    tags: list[str]
    is_key: bool = Field(description="Rows are joined by it; no model should learn from it.")


class SetLine(Plain):
    """A feature set, as its contract has it."""

    name: str
    relation: str
    entity: str | None = Field(description="What a row is about; null if the set has no log.")


class Features(Plain):
    """All features of all sets, and their declared exceptions."""

    sets: list[SetLine] = Field(description="First the sets that carry t0 themselves.")
    features: list[FeatureLine]
    exceptions: list[ExceptionLine]
    badges: dict[str, str] = Field(description="Each badge and what it means.")


class ColumnStep(Plain):
    """A column on the way from the sources to a feature."""

    id: str = Field(description="schema.relation.column")
    relation: str
    label: str = Field(description="The relation's short name; a source's whole name.")
    column: str
    layer: str = Field(description="source, base, read or views.")
    level: int = Field(description="0 for a source; the same for all columns of a relation.")


class Lineage(Plain):
    """From the sources' columns to a feature, by the server's stored queries.

    Two lists: the columns that make the feature's value, and those that only choose the rows, by
    which rows are looked up, joined, filtered or sorted.
    """

    traced_at: datetime
    dag_id: str
    run_id: str
    columns: list[ColumnStep] = Field(
        description="What the value is made of, sources first, the feature itself last."
    )
    edges: list[tuple[str, str]] = Field(
        description="Ids of two of these columns: the one read, and the one made of it."
    )
    decided_by: list[ColumnStep] = Field(
        description="Columns that only choose the rows; none of the above."
    )


class NullShare(Plain):
    """How many rows a run found without a value."""

    dag_id: str
    run_id: str
    as_of_day: date
    prepared_at: datetime
    rows: int
    nulls: int


class SkewShare(Plain):
    """How many of the rows that were served differ today."""

    dag_id: str
    run_id: str
    age: str
    compared: int
    differing: int
    typical: float | None
    gone: int


class FeatureDetail(Plain):
    """One feature, whole."""

    zone: str = Field(description="The store's time zone; times are shown in it.")
    feature: FeatureLine
    badge_words: str = Field(description="What its badge means.")
    comment: str = Field(description="The comment of its column in the database.")
    relation: str
    exceptions: list[ExceptionLine]
    lineage: Lineage | None = Field(description="null until a run has traced it.")
    nulls: list[NullShare] = Field(description="Oldest first.")
    skew: list[SkewShare] = Field(description="By age, all ages first; empty if not measured.")


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
    ended_at: datetime | None
    seconds: float | None
    link: str = Field(description="Its page in Airflow, relative to Airflow's address.")


class ExpectationLine(Plain):
    """The result of one expectation of a run."""

    suite: str
    expectation: str
    relation: str
    severity: str
    outcome: str = Field(description="met, broken or error (could not be checked).")
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


class RunDetail(Plain):
    """One run, whole."""

    zone: str = Field(description="The store's time zone; times are shown in it.")
    run: RunLine
    expectations: list[ExpectationLine] = Field(description="What is wrong comes first.")
    refreshes: list[RefreshLine]
    findings: list[FindingLine]
    tasks: list[TaskLine]
    tasks_words: str = Field(description="Why there are no tasks, if so.")
    report: str = Field(description="Its report's address, relative to the page.")


class Problem(Plain):
    """Why a request has no answer."""

    problem: str
    readers: str = ""
    next_step: str = ""
