"""From the seconds of every run to medians, sums and ratios."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench import variants
from bench.figure import Figure, median_figure, ratio
from bench.labels import SPEED_LAYER
from bench.nights import IN_ITS_REFRESH, PROFILES
from bench.variants import Variant

Seconds = dict[str, list[float]]


@dataclass(frozen=True)
class SizeSummary:
    """The figures of one size.

    Attributes:
        found: what `measure.measure_size` gave.
        labels: how relations are called in tables, by name.
        helpers: our relations that the reference lacks, each with the relations that they serve.
    """

    found: dict[str, Any]
    labels: dict[str, str]
    helpers: dict[str, list[str]]

    @property
    def listings(self) -> int:
        """The size."""
        listings: int = self.found["listings"]
        return listings

    @property
    def profiles(self) -> tuple[str, ...]:
        """The server's profiles, the one with all variants first."""
        return tuple(self.found["passes"])

    @property
    def relations(self) -> tuple[str, ...]:
        """All materialized views of the store, in order."""
        return tuple(self.found["rows"])

    def name(self, label: str) -> str | None:
        """The relation of that label; None if the store has none."""
        return next((name for name, its in self.labels.items() if its == label), None)

    def has(self, variant: Variant) -> bool:
        """Whether a variant was measured."""
        return bool(self.found["passes"].get(self.profiles[0], {}).get(variant.name))

    def seconds(self, variant: Variant, relation: str) -> Figure | None:
        """The median of one relation, with the helpers that serve it; None if not measured."""
        runs = self._runs(variant, None)
        if relation not in runs:
            return None
        # The reference has none of our helpers.
        serving = [h for h, served in self.helpers.items() if relation in served and h in runs]
        return self._median_sum([relation, *serving], variant, None)

    def total(
        self, variant: Variant, profile: str | None = None, *, speed: bool = True
    ) -> Figure | None:
        """The median of the whole; each helper counts once."""
        runs = self._runs(variant, profile)
        left_out = () if speed else SPEED_LAYER
        names = [name for name in runs if self.labels.get(name) not in left_out]
        return self._median_sum(names, variant, profile) if names else None

    @property
    def given_up(self) -> bool:
        """Whether anything was given up, so that there are lower bounds."""
        return any(self.found.get("given_up", {}).values())

    def night(self, *, speed: bool = True) -> Figure | None:
        """The whole as the DAG runs it, relations side by side."""
        return self.total(variants.NIGHT if speed else variants.NIGHT_WITHOUT_SPEED)

    def unchanged(self) -> Figure:
        """Seconds of a night in which nothing changed."""
        return _median_night(self.found["unchanged"])

    def checks(self) -> Figure:
        """Seconds of all that proves and checks, on a later night."""
        return self._later(lambda step: step != PROFILES)

    def feature_profiles(self) -> Figure:
        """Seconds of describing each feature, on a later night."""
        return self._later(lambda step: step == PROFILES)

    def refreshes(self) -> Figure | None:
        """Seconds of the refreshes one after another, without the proofs that are made in them."""
        total = self.total(variants.SHIPPED)
        return total and Figure(total.value - self._proofs_in_refreshes(), total.lower_bound)

    def checks_in_the_dag(self) -> Figure:
        """Seconds of the same and of the profiles, all suites at once and proofs two at a time."""
        return Figure(self._proofs_in_refreshes() + self._after_refreshes())

    def whole_night(self) -> Figure | None:
        """Seconds of the refreshes as the DAG runs them, then of all that comes after them."""
        night = self.night()
        return night and Figure(night.value + self._after_refreshes(), night.lower_bound)

    def _after_refreshes(self) -> float:
        nights: list[float] = self.found["checks_in_the_dag"]
        return median(nights)

    def _proofs_in_refreshes(self) -> float:
        return self._later(lambda step: step.endswith(IN_ITS_REFRESH)).value

    def _later(self, counts: Callable[[str], bool]) -> Figure:
        """Seconds of some steps of a later night."""
        nights = self.found["checks"]["later"]
        return _median_night([{s: n for s, n in night.items() if counts(s)} for night in nights])

    def _runs(self, variant: Variant, profile: str | None) -> Seconds:
        passes = self.found["passes"].get(profile or self.profiles[0], {})
        runs: Seconds = passes.get(variant.name, {})
        return runs

    def _median_sum(self, names: Sequence[str], variant: Variant, profile: str | None) -> Figure:
        """Sums run by run, then the median: sums of medians would mix runs."""
        runs = self._runs(variant, profile)
        # Results of before anything was given up do not have the key.
        passes = self.found.get("given_up", {}).get(profile or self.profiles[0], {})
        given_up: dict[str, list[int]] = passes.get(variant.name, {})
        sums = list(map(sum, zip(*(runs[name] for name in names), strict=True)))
        ended = {run for name in names for run in given_up.get(name, ())}
        return median_figure(sums, [run in ended for run in range(len(sums))])


def read_sizes(result: dict[str, Any]) -> list[SizeSummary]:
    """The sizes of a result, ascending."""
    return [SizeSummary(found, result["labels"], result["helpers"]) for found in result["sizes"]]


def against_reference(size: SizeSummary, label: str) -> dict[str, Figure | None]:
    """The ratios of one relation refreshed plainly, as it is when it is created.

    Three have the reference as it is written; in ``reference spared`` nested loops are forbidden to
    it, else it is *as shipped*.
    """
    name = size.name(label) or ""
    reference = size.seconds(variants.REFERENCE_PLAIN, name)
    shipped = size.seconds(variants.SHIPPED_PLAIN, name)
    return {
        "as shipped": ratio(reference, shipped),
        "by SQL alone": ratio(reference, size.seconds(variants.SQL_ALONE_PLAIN, name)),
        "both in our session": ratio(size.seconds(variants.REFERENCE_OURS_PLAIN, name), shipped),
        "reference spared": ratio(size.seconds(variants.REFERENCE_SPARED, name), shipped),
    }


def whole_against_reference(size: SizeSummary, *, speed: bool) -> dict[str, Figure | None]:
    """The ratios of a whole refresh with concurrent read layers.

    Side by side is as shipped, too. All others refresh one relation after another.
    """
    reference = size.total(variants.REFERENCE, speed=speed)
    return {
        "as shipped": ratio(reference, size.total(variants.SHIPPED, speed=speed)),
        "side by side": ratio(reference, size.night(speed=speed)),
        "by SQL alone": ratio(reference, size.total(variants.SQL_ALONE, speed=speed)),
        "both in our session": ratio(
            size.total(variants.REFERENCE_OURS, speed=speed),
            size.total(variants.SHIPPED, speed=speed),
        ),
    }


def _median_night(nights: Iterable[dict[str, float]]) -> Figure:
    sums = [sum(night.values()) for night in nights]
    return median_figure(sums, [False] * len(sums))
