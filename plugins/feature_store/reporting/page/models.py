"""What the page's JSON holds. The OpenAPI schema is made from it, so it says what is meant."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Plain(BaseModel):
    """A value that nobody changes."""

    model_config = ConfigDict(frozen=True)


class Standing(StrEnum):
    """How the whole store stands, in one word."""

    CERTIFIED = "certified"
    REVIEW = "review"
    RUNNING = "running"
    STALE = "stale"
    FAILED = "failed"
    EMPTY = "empty"


class RelationState(StrEnum):
    """How the rows of a relation stand to what was proven."""

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
    words: str = Field(description="One sentence: fresh, certified and honest, or why not.")
    next_step: str = Field(
        default="", description="The next command or deed; empty if there is none."
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
        default="", description="The first cause, in one line; only of a run that is read whole."
    )
    met: int = Field(description="Expectations met.")
    warnings: int = Field(description="Expectations of severity warning that were broken.")
    broken: int = Field(description="Expectations of severity critical that were broken.")
    errors: int = Field(description="Expectations that could not be checked.")


class RelationNow(Plain):
    """A relation and what its last refresh left."""

    name: str
    label: str = Field(description="The short name that the documents give it, such as E-clean.")
    what: str = Field(description="What it is in a few words, from its SQL file.")
    grain: str = Field(description="What one row of it is, from its SQL file.")
    layer: str = Field(description="base, read or views: how it is refreshed.")
    level: int = Field(description="Steps from the sources, 0 for what reads only sources.")
    reads: list[str] = Field(description="Relations of the store and sources, by its SQL file.")
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
        default=[], description="Short names of what it reads, near or far, that is not proven."
    )
    reused: str | None = Field(description="Why the latest run did not refresh it again, if so.")


class ExceptionLine(Plain):
    """A declared exception: where a feature sees more than was known at t0."""

    id: str
    title: str
    reason: str
    relation: str
    badge: str = Field(description="What it makes of the features that it reaches.")
    taints: dict[str, list[str]] = Field(description="Features that it reaches, by feature set.")


class ContractNow(Plain):
    """A feature set: as it was stamped, and what the live relation says to it now."""

    name: str
    schema_name: str
    relation: str
    n_features: int | None
    stamped_hash: str | None = Field(description="null before the first stamp.")
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
    """The store as it stands."""

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
    """One relation over time, oldest first; the lists are as long as each other."""

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


class Problem(Plain):
    """Why a request has no answer."""

    problem: str
    readers: str = ""
    next_step: str = ""
