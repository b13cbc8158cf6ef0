"""What a run's report tells, as plain values; `read` reads them, `render` draws them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True)
class RunFacts:
    """A run, as ``feature_store_audit.run`` has it, and whether the lease is in its name now.

    What came before or after it is known by ``event_id`` and ``verdict_event``, never by a clock.
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


@dataclass(frozen=True)
class ExpectationFacts:
    """What one expectation came to; ``sample`` holds rows that breach it."""

    suite: str
    expectation: str
    relation: str
    severity: str
    outcome: str
    expected: str
    observed: str
    sample: list[Any]
    seconds: float
    checked_at: datetime


@dataclass(frozen=True)
class ProofFacts:
    """What one proof compared, how many rows differed, and some of them."""

    proof: str
    compared: int
    broken: int
    sample: list[Any]
    seconds: float
    proven_at: datetime


@dataclass(frozen=True)
class RefreshFacts:
    """One refresh of a relation.

    Attributes:
        of_run: it is of the run that the report is about, or that run found it still good.
        reuse: why it was found still good; empty if it was not needed to ask.
    """

    relation: str
    mode: str
    row_count: int
    bytes: int
    seconds: float
    finished_at: datetime
    of_run: bool
    reuse: str


@dataclass(frozen=True)
class SeenFacts:
    """What a refresh of the run recorded of its sources: how many of what, and some of them."""

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
class ReportFacts:
    """All that a report tells.

    Attributes:
        run: the run.
        expectations: checked since the run's refreshes, what is wrong first.
        proofs: run since the run's refreshes.
        outdated: how many results are of an earlier try of the run and say nothing of its rows.
        refreshes: of each relation, in the order of its last refresh, up to 30 refreshes until the
            run's end, oldest first.
        seen: what the run's refreshes recorded of their sources.
        skew: the features that moved since they were served, the largest share first.
        contracts: the feature sets.
        certified: in words, what is certified when the report is written.
        leaks: in words, output days that moved without cause and are not mended or accepted.
        reviews: in words, old input days that changed and are not accepted.
    """

    run: RunFacts
    expectations: tuple[ExpectationFacts, ...]
    proofs: tuple[ProofFacts, ...]
    outdated: int
    refreshes: tuple[tuple[RefreshFacts, ...], ...]
    seen: tuple[SeenFacts, ...]
    skew: list[dict[str, Any]]
    contracts: tuple[ContractFacts, ...]
    certified: str
    leaks: tuple[str, ...]
    reviews: tuple[str, ...]
