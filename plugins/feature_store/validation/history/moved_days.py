"""Which days of a layer changed since the last check, and what that explains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from feature_store.declarations.history_series import HistorySeries, Role, Window, reach
from feature_store.validation.history.findings import AffectedDays
from feature_store.validation.history.fingerprints import Fingerprint, LayerRows
from feature_store.validation.history.recounts import Known

_EMPTY = Fingerprint(0, b"")


@dataclass(frozen=True)
class ComparedSeries:
    """A layer as a history check sees it, compared with before.

    Attributes:
        layer: the layer.
        rows: its rows.
        seen: its days now.
        baseline: its days as they were last accepted.
        opened: days with an open finding, as they were when that was last checked.
        known: the entities behind its days, if its rows do not name them.
    """

    layer: HistorySeries
    rows: LayerRows
    seen: Mapping[date, Fingerprint]
    baseline: Mapping[date, Fingerprint]
    opened: Mapping[date, Fingerprint]
    known: Known

    def seen_on(self, day: date) -> Fingerprint:
        """The day now; an empty day if there is none."""
        return self.seen.get(day, _EMPTY)

    @property
    def differs(self) -> set[date]:
        """The days that are not as their baseline."""
        days = self.seen.keys() | self.baseline.keys()
        return {d for d in days if self.seen.get(d) != self.baseline.get(d)}

    @property
    def reported(self) -> set[date]:
        """The days with an open finding that have not changed since."""
        return {d for d, then in self.opened.items() if self.seen_on(d) == then}

    @property
    def undone(self) -> list[date]:
        """The days with an open finding that are as their baseline again."""
        return sorted(self.opened.keys() - self.differs)

    @property
    def moved(self) -> frozenset[date]:
        """The days that have changed since the last check."""
        return frozenset((self.differs | set(self.undone)) - self.reported)

    def appeared_or_went(self, day: date) -> bool:
        """Whether the day has rows now and had none before, or the other way round."""
        return (day in self.seen) != (day in self.baseline)


@dataclass(frozen=True)
class ChangedDays:
    """Where a layer changed since the last check.

    Attributes:
        layer: the layer.
        days: the days that changed; None if not known, because there was no check before.
        recounted: the days whose change recounts explain.
    """

    layer: HistorySeries
    days: frozenset[date] | None
    recounted: frozenset[date] = frozenset()

    def within(self, window: Window, day: date) -> bool:
        """Whether a day of the window, counted from ``day``, changed."""
        return self.days is None or any(_within(window, day, self.days))

    def recounted_within(self, window: Window, day: date) -> list[date]:
        """The days of the window that were recounted, counted from ``day``."""
        return list(_within(window, day, self.recounted))


def _within(window: Window, day: date, days: Iterable[date]) -> Iterator[date]:
    # In ordinals, because a window may begin before the first date.
    own = day.toordinal()
    last = own + window.last
    first = 0 if window.first is None else own + window.first
    return (moved for moved in days if first <= moved.toordinal() <= last)


def explained_by(
    series: ComparedSeries, day: date, changes: Mapping[str, ChangedDays]
) -> str | None:
    """The layer whose change may explain an output day's change; None: no layer."""
    for window in series.layer.depends:
        if changes[window.layer].within(window, day):
            return window.layer
    own = series.layer.appears
    if own and series.appeared_or_went(day) and changes[own].within(Window(own, 0, 0), day):
        return own
    return None


def recounts_behind(
    layer: HistorySeries, day: date, changes: Mapping[str, ChangedDays]
) -> set[tuple[str, date]]:
    """The recounted input days, each with its layer's name, that may explain a day's change."""
    found = set()
    for window in layer.depends:
        below = changes[window.layer]
        for recounted in below.recounted_within(window, day):
            if below.layer.role is Role.INPUT:
                found.add((below.layer.name, recounted))
            else:
                found |= recounts_behind(below.layer, recounted, changes)
    return found


@dataclass(frozen=True)
class Weighed:
    """Days of an output that only recounts may explain.

    Attributes:
        behind: by day, the recounts, each an input's name and day.
        weighty: the days that changed in more than counts; these recounts may explain it.
        leaks: the days that changed in values that no recount can move.
    """

    behind: Mapping[date, set[tuple[str, date]]]
    weighty: frozenset[date]
    leaks: frozenset[date]


def weigh(
    series: ComparedSeries, days: Iterable[date], changes: Mapping[str, ChangedDays]
) -> Weighed:
    """Check days that only recounts may explain against what recounts can move."""
    layer = series.layer
    behind, by = {}, defaultdict[frozenset[str], list[date]](list)
    for day in days:
        if found := recounts_behind(layer, day, changes):
            behind[day] = found
            told = (w.layer for w in layer.depends if changes[w.layer].recounted_within(w, day))
            by[frozenset(told)].append(day)
    more, leaks = set[date](), set[date]()
    for names, alike in by.items():
        counts = {column for name in names for column in layer.counts.get(name, ())}
        weighs = {column for name in names for column in layer.weighs.get(name, ())}
        more |= series.rows.essences(alike, counts).keys()
        leaks |= series.rows.essences(alike, counts | weighs).keys()
    return Weighed(behind, frozenset(more - leaks), frozenset(leaks))


def moved_link(series: ComparedSeries, changes: Mapping[str, ChangedDays]) -> ChangedDays:
    """Where a link changed, and where recounts below it explain that."""
    recounted = frozenset(
        day
        for day in series.moved
        if explained_by(series, day, changes) is None
        and recounts_behind(series.layer, day, changes)
    )
    return ChangedDays(series.layer, series.moved - recounted, recounted)


def affected_days(
    layers: Sequence[HistorySeries],
    changed: HistorySeries,
    day: date,
    changes: Mapping[str, ChangedDays],
) -> tuple[AffectedDays, ...]:
    """The output days that a changed input day can move, and how many of them changed."""
    found = []
    for output, (first, last) in sorted(reach(layers, changed.name).items()):
        since = _shifted(day, first)
        until = None if last is None else _shifted(day, last)
        moved = [
            d for d in changes[output].days or () if since <= d and (until is None or d <= until)
        ]
        found.append(AffectedDays(output, since, until, len(moved)))
    return tuple(found)


def _shifted(day: date, days: int) -> date:
    ordinal = min(max(day.toordinal() + days, 1), date.max.toordinal())
    return date.fromordinal(ordinal)
