"""What the verdict on the store depends on, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from feature_store.reporting.page.lease_now import LeaseNow
from feature_store.reporting.store.models import (
    ContractNow,
    FindingLine,
    RelationNow,
    RelationState,
    RunLine,
)
from feature_store.settings import Settings


@dataclass(frozen=True)
class Facts:
    """Everything that the verdict depends on.

    Attributes:
        at: now by the database's clock, which also stamps the record, in the store's zone.
        settings: with the schedule, which decides what counts as fresh.
        dag_id: the store's DAG.
        lease: the run that has the lease and no verdict yet.
        latest: the run that held the lease last.
        relations: every relation.
        contracts: every feature set.
        open_findings: open findings of history.
        certified_at: when a run certified the store last.
        is_to_come: whether that is yet to come, so that a clock was wrong.
        replaced: short names of plain views whose query differs from what apply recorded.
        unstamped: proofs that differ from their stamp, each with how it differs.
        answered_for: the latest as-of day of the runs that passed since the last due start.
        sources_until: the newest day of the sources.
        most_days_old: how many days before the run's day that may be; None: no limit is set.
    """

    at: datetime
    settings: Settings
    dag_id: str
    lease: LeaseNow | None
    latest: RunLine | None
    relations: list[RelationNow]
    contracts: list[ContractNow]
    open_findings: list[FindingLine]
    certified_at: datetime | None
    is_to_come: bool = False
    answered_for: date | None = None
    sources_until: date | None = None
    most_days_old: float | None = None
    replaced: list[str] = field(default_factory=list)
    unstamped: list[str] = field(default_factory=list)

    def in_state(self, *states: RelationState) -> list[str]:
        """The short names of the relations in one of these states."""
        return [r.label for r in self.relations if r.state in states]

    def open(self, kind: str) -> list[FindingLine]:
        """The open findings of a kind."""
        return [finding for finding in self.open_findings if finding.kind == kind]
