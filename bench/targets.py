"""The targets, and whether they were reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bench import variants
from bench.figure import Figure, ratio
from bench.summary import SizeSummary, against_reference, whole_against_reference

# At least so many times faster than the reference: by size, then by relation.
RELATIONS = {100_000: {"E": 20.0, "D4": 8.0}, 10_000: {"F2": 10.0}}
WHOLE = {10_000: 5.0, 100_000: 6.0}
WHOLE_BY_SQL_ALONE = 4.0
# At most so many times more, for ten times the listings.
GROWTH_OF_THE_WHOLE, GROWTH_OF_A_RELATION = 12.0, 14.0
# Below this many seconds a relation's growth shows overhead rather than its query.
LEAST_SECONDS_TO_GROW_FROM = 0.25
DEFAULT_SETTINGS = 2.0
FLOOR_PLAIN, FLOOR_CONCURRENT = 2.0, 4.0
UNCHANGED_NIGHT = 0.05
CHECKS, CHECKS_OF_A_SMALL_STORE, LARGE = 1.0, 1.5, 100_000
FEATURE_PROFILES = 0.1
# Percentiles of the same load differ this much from one minute to the next.
READER_LATENCY = 1.25


@dataclass(frozen=True)
class Judged:
    """One target and its result.

    Attributes:
        what: the target in words.
        target: the number to reach.
        observed: the number reached, or what it is at least; None if it was not measured.
        at_least: whether more is better.
    """

    what: str
    target: float
    observed: Figure | None
    at_least: bool

    @property
    def verdict(self) -> str:
        """Reached or not, and by how much."""
        if self.observed is None:
            return "not measured"
        value = self.observed.value
        reached = value >= self.target if self.at_least else value <= self.target
        # A lower bound can only show that a target for more is reached.
        if self.observed.lower_bound and reached != self.at_least:
            return "open, at least this"
        if reached:
            return "reached"
        if not self.target:
            return f"NOT reached, {value:g} too many"
        share = value / self.target
        short = 1 - share if self.at_least else share - 1
        return f"NOT reached, {'short' if self.at_least else 'over'} by {short:.0%}"


def judge(sizes: Sequence[SizeSummary]) -> list[Judged]:
    """Judge every target that the measured sizes can answer."""
    by_listings = {size.listings: size for size in sizes}
    judged = [*_against_reference(by_listings), *_growth(sizes)]
    for size in sizes:
        judged += _within(size)
    return judged


def judge_readers(phases: dict[str, Any]) -> list[Judged]:
    """Judge what readers of read layers saw in refreshes."""
    seen, load = phases["refresh"]["read"], phases["load"]["read"]["latency"]
    waits = seen["reported_waits"] + seen["seen_waiting"]
    latency = [
        Judged(
            f"{share} by {kind}, in refreshes / under the same load without locks",
            READER_LATENCY,
            ratio(Figure(its[share]), Figure(load[kind][share])),
            at_least=False,
        )
        for kind, its in seen["latency"].items()
        for share in ("p50", "p95", "p99")
    ]
    waited = Judged("lock waits of readers of read layers", 0, Figure(waits), at_least=False)
    return [waited, *latency]


def _against_reference(sizes: dict[int, SizeSummary]) -> Iterator[Judged]:
    for listings, relations in RELATIONS.items():
        size = sizes.get(listings)
        if size is None or not size.has(variants.REFERENCE):
            continue
        for label, target in relations.items():
            observed = against_reference(size, label)["as shipped"]
            what = f"{label} at {listings:,}, reference / ours as shipped"
            yield Judged(what, target, observed, at_least=True)
    for listings, target in WHOLE.items():
        size = sizes.get(listings)
        if size is None or not size.has(variants.REFERENCE):
            continue
        for speed in (False, True):
            ratios = whole_against_reference(size, speed=speed)
            what = f"whole at {listings:,}, {_with(speed)}, reference / ours"
            yield Judged(f"{what} as shipped", target, ratios["as shipped"], at_least=True)
            alone = ratios["by SQL alone"]
            yield Judged(f"{what} by SQL alone", WHOLE_BY_SQL_ALONE, alone, at_least=True)


def _with(speed: bool) -> str:
    return f"{'with' if speed else 'without'} the speed layer"


def _growth(sizes: Sequence[SizeSummary]) -> Iterator[Judged]:
    for small, large in pairwise(sizes):
        if large.listings != 10 * small.listings:
            continue
        grew = f"from {small.listings:,} to {large.listings:,}"
        whole = ratio(large.total(variants.SHIPPED), small.total(variants.SHIPPED))
        yield Judged(f"growth of the whole {grew}", GROWTH_OF_THE_WHOLE, whole, at_least=False)
        rates = {}
        for name in small.relations:
            before = small.seconds(variants.SHIPPED, name)
            after = large.seconds(variants.SHIPPED, name)
            rate = ratio(after, before)
            if rate and after and after.value >= LEAST_SECONDS_TO_GROW_FROM:
                rates[small.labels[name]] = rate
        if rates:
            label, most = max(rates.items(), key=lambda item: item[1].value)
            what = f"growth of any relation {grew} (the most: {label})"
            yield Judged(what, GROWTH_OF_A_RELATION, most, at_least=False)


def _within(size: SizeSummary) -> Iterator[Judged]:
    at = f"at {size.listings:,}"
    floor = size.total(variants.FLOOR)
    plain, concurrent = size.total(variants.SHIPPED_PLAIN), size.total(variants.SHIPPED)
    yield Judged(f"plain total {at} / floor", FLOOR_PLAIN, ratio(plain, floor), at_least=False)
    yield Judged(
        f"total with concurrent read layers {at} / floor",
        FLOOR_CONCURRENT,
        ratio(concurrent, floor),
        at_least=False,
    )
    for profile in size.profiles[1:]:
        yield Judged(
            f"total {at} under {profile} server settings / {size.profiles[0]}",
            DEFAULT_SETTINGS,
            ratio(size.total(variants.SHIPPED, profile), concurrent),
            at_least=False,
        )
    yield Judged(
        f"unchanged night {at} / full refresh",
        UNCHANGED_NIGHT,
        ratio(size.unchanged(), concurrent),
        at_least=False,
    )
    yield Judged(
        f"proofs, suites, gates and history {at} / refreshes alone",
        CHECKS if size.listings >= LARGE else CHECKS_OF_A_SMALL_STORE,
        ratio(size.checks(), size.refreshes()),
        at_least=False,
    )
    yield Judged(
        f"the same with profiles {at}, as the DAG runs them / refreshes alone",
        CHECKS if size.listings >= LARGE else CHECKS_OF_A_SMALL_STORE,
        ratio(size.checks_in_the_dag(), size.refreshes()),
        at_least=False,
    )
    if size.listings >= LARGE:
        yield Judged(
            f"profiles of the features {at} / refreshes alone",
            FEATURE_PROFILES,
            ratio(size.feature_profiles(), size.refreshes()),
            at_least=False,
        )
