"""What is known of a run, as plain values. `read` reads them; mail, report and page show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from feature_store.reporting.run.account import Account
from feature_store.text_format import plural
from feature_store.validation.history.findings import HistoryFinding


@dataclass(frozen=True)
class RunFacts:
    """A run from ``feature_store_audit.run``, and whether it holds the lease now.

    ``event_id`` and ``verdict_event`` say what came before and after it, never a clock.
    """

    dag_id: str
    run_id: str
    run_type: str
    as_of_day: date
    zone: str
    prepared_at: datetime
    server_version: str
    verdict: str | None
    verdict_at: datetime | None
    problem: str | None
    holds_lease: bool
    event_id: int
    verdict_event: int | None
    account: Account


def result_of(outcome: str, severity: str) -> str:
    """What a result means for its run: met, warning, broken (which fails it) or error."""
    return "warning" if outcome == "broken" and severity == "warning" else outcome


@dataclass(frozen=True)
class Finding:
    """The result of one expectation.

    Attributes:
        outcome: ``met``, ``broken``, or ``error`` where it could not be checked.
        observed: in words; for an error, its cause.
        breaching: how many rows breach it; None where nobody counted them.
        compared: how many rows a specification compared; None for other expectations.
        sample: some of the rows that breach it; for a specification, the key and what differs.
    """

    suite: str
    expectation: str
    relation: str
    severity: str
    outcome: str
    expected: str
    observed: str
    seconds: float = 0
    breaching: int | None = None
    compared: int | None = None
    sample: tuple[dict[str, Any], ...] = ()

    @property
    def is_critical(self) -> bool:
        """It fails the run."""
        return result_of(self.outcome, self.severity) == "broken"

    @property
    def is_warning(self) -> bool:
        """It is broken and fails nothing."""
        return result_of(self.outcome, self.severity) == "warning"

    @property
    def amount(self) -> str:
        """How much breaches it, such as ``3 rows``; empty if that is not known."""
        if self.compared == 0:
            return "no row compared"
        return plural(self.breaching, "row") if self.breaching else ""

    @property
    def found(self) -> str:
        """What was observed, in words."""
        if self.outcome == "broken" and self.compared:
            return f"{self.breaching:,} of {self.compared:,} rows compared differ"
        if self.outcome == "broken" and self.amount:
            # A row may tell of something that is missing.
            return self.amount if self.compared == 0 else f"{self.amount} found by its query"
        return self.observed

    @property
    def layers(self) -> tuple[str, ...]:
        """The relations that its rows name; none for an ordinary one, about a single relation."""
        return tuple(str(row["relation"]) for row in self.sample if "relation" in row)


@dataclass(frozen=True)
class ProofFacts:
    """What one proof compared, and how many rows differed."""

    proof: str
    compared: int
    broken: int
    seconds: float


@dataclass(frozen=True)
class RefreshFacts:
    """One refresh of a relation.

    Attributes:
        refreshed: whether this run did it, since it was last prepared.
        reuse: why this run found it still good, since it was last prepared; empty if it did not.
    """

    relation: str
    mode: str
    row_count: int
    bytes: int
    seconds: float
    finished_at: datetime
    refreshed: bool
    reuse: str

    @property
    def of_run(self) -> bool:
        """Whether this run did it, or found it still good."""
        return self.refreshed or bool(self.reuse)


@dataclass(frozen=True)
class SeenFacts:
    """What a refresh of the run recorded of its sources: how many of what, and some examples."""

    relation: str
    fact: str
    n: int
    sample: list[Any]


@dataclass(frozen=True)
class ContractFacts:
    """A feature set as it is stamped now; the hash is None before the first stamp."""

    name: str
    relation: str
    n_features: int | None
    features_hash: str | None


@dataclass(frozen=True)
class RunRecord:
    """All that the record has of a run.

    Attributes:
        run: the run.
        findings: of expectations, those that count (the view ``finding``), the worst first.
        proofs: of the rows that the run used.
        outdated: how many findings no longer count.
        refreshes: for each relation, up to 30 refreshes until the run's end, oldest first; the
            relations in the order of their last refresh.
        seen: what the run's refreshes recorded of their sources.
        skew: the features that moved since they were served, the largest share first.
        contracts: the feature sets.
        key: the first column of sample rows; empty: none.
        certified: what is certified when the report is written, in words.
        leaks: output days that moved without cause and are neither corrected nor accepted.
        reviews: old input days that changed and are not accepted.
        title: how people call the store.
    """

    run: RunFacts
    findings: tuple[Finding, ...]
    proofs: tuple[ProofFacts, ...]
    outdated: int
    refreshes: tuple[tuple[RefreshFacts, ...], ...]
    seen: tuple[SeenFacts, ...]
    skew: list[dict[str, Any]]
    contracts: tuple[ContractFacts, ...]
    key: str
    certified: str
    leaks: tuple[HistoryFinding, ...]
    reviews: tuple[HistoryFinding, ...]
    title: str = "feature store"

    @property
    def broken(self) -> tuple[Finding, ...]:
        """What fails the run."""
        return tuple(f for f in self.findings if f.is_critical)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What could not be checked. This says nothing about the data."""
        return tuple(f for f in self.findings if f.outcome == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is reported and fails nothing."""
        return tuple(f for f in self.findings if f.is_warning)

    @property
    def met(self) -> int:
        """How many expectations were met."""
        return sum(f.outcome == "met" for f in self.findings)
