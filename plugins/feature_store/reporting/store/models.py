"""The page's JSON. The OpenAPI schema is made from it, so every field says what it means."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, computed_field

from feature_store.validation.history.acceptance import acceptance


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
    REVOKED = "revoked"
    REWRITTEN = "rewritten"
    REFUSED = "refused"
    NEVER = "never refreshed"
    LIVE = "live view"
    MISSING = "missing"


class StoreVerdict(Plain):
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
    refresh: str = Field(description="base, read or views: how it is refreshed.")
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
    readable: bool | None = Field(
        default=False,
        description="require_certified lets its readers through; null: not known at the moment.",
    )
    refusal: str = Field(default="", description="Why not, as require_certified raises it.")
    refused_for: list[str] = Field(default=[], description="Short names of what is not proven.")


class FindingLine(Plain):
    """An old day of a layer that changed."""

    finding_id: int
    kind: str = Field(description="review, leak, definition or exception.")
    layer: str = Field(description="Its short name, as history calls it.")
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
    resolution: str | None = Field(description="How it was closed; null while it is open.")
    closed_by: str | None
    reason: str | None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def accept(self) -> str:
        """The command that accepts it alone; empty if there is nothing to accept."""
        return acceptance(self.day, self.layer) if self.day and self.resolution is None else ""


class ReviewDay(Plain):
    """What waits for a person of one day, as the mail tells it."""

    day: date
    words: str = Field(description="Which entities, and of a changed one its old and new values.")
    accept: str = Field(description="The command that accepts the day, in all its layers.")


class Now(Plain):
    """The store now."""

    read_at: datetime
    zone: str
    verdict: StoreVerdict
    certified_words: str
    under_way: str | None = Field(description="The run that has the lease.")
    latest: RunLine | None
    sources: list[str]
    relations: list[RelationNow]
    contracts: list[ContractNow]
    exceptions: list[ExceptionLine]
    leaks: list[FindingLine]
    reviews: list[FindingLine]
    review_days: list[ReviewDay] = Field(description="The first 25 days of these reviews.")
    without_file: list[str] = Field(description="Relations that no file defines any more.")
    without_file_step: str = Field(description="What to do about them; empty if there are none.")


class RelationNights(Plain):
    """One relation over time, oldest first; all lists have the same length."""

    name: str
    label: str
    refresh: str
    finished_at: list[datetime]
    rows: list[int]
    bytes: list[int]
    seconds: list[float]


class Nights(Plain):
    """The store over time."""

    zone: str
    since: date
    until: date = Field(description="The newest day that a run answers for; at least since.")
    runs: list[RunLine] = Field(description="Oldest first.")
    relations: list[RelationNights]
    findings: list[FindingLine] = Field(
        description="Found in this span, open or closed; of declared exceptions the latest."
    )
    more_exceptions: int = Field(description="Declared exceptions that are not among them.")


class Problem(Plain):
    """Why a request has no answer."""

    problem: str
    readers: str = ""
    next_step: str = ""
