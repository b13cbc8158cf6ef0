"""What moved in a layer since the judgement before, and what that explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from feature_store.declarations.history_series import HistoryLayer, Window, reach
from feature_store.validation.history.findings import Reach
from feature_store.validation.history.fingerprints import Fingerprint, LayerRows

_EMPTY = Fingerprint(0, b"")


@dataclass(frozen=True)
class Look:
    """A layer as a judgement sees it, beside what it was.

    Attributes:
        layer: the layer.
        rows: its rows.
        seen: its days now.
        baseline: its days as they were last accepted.
        opened: days with something open about them, as they were when that was last looked at.
    """

    layer: HistoryLayer
    rows: LayerRows
    seen: Mapping[date, Fingerprint]
    baseline: Mapping[date, Fingerprint]
    opened: Mapping[date, Fingerprint]

    def seen_on(self, day: date) -> Fingerprint:
        """The day now; without rows where there is none."""
        return self.seen.get(day, _EMPTY)

    @property
    def differs(self) -> set[date]:
        """The days that are not as their baseline."""
        days = self.seen.keys() | self.baseline.keys()
        return {d for d in days if self.seen.get(d) != self.baseline.get(d)}

    @property
    def said(self) -> set[date]:
        """The days with something open about them that has not changed since."""
        return {d for d, then in self.opened.items() if self.seen_on(d) == then}

    @property
    def undone(self) -> list[date]:
        """The days with something open about them that are as their baseline again."""
        return sorted(self.opened.keys() - self.differs)

    @property
    def moved(self) -> frozenset[date]:
        """The days that are not as the judgement before saw them."""
        return frozenset((self.differs | set(self.undone)) - self.said)

    def appeared_or_went(self, day: date) -> bool:
        """Whether the day has rows now and had none, or the other way round."""
        return (day in self.seen) != (day in self.baseline)


@dataclass(frozen=True)
class Moves:
    """Where a layer moved since the judgement before.

    Attributes:
        layer: the layer.
        days: the days that moved; None where nobody can say, as there is no judgement before.
    """

    layer: HistoryLayer
    days: frozenset[date] | None

    def within(self, window: Window, day: date) -> bool:
        """Whether a day of the window moved, counted from ``day``."""
        if self.days is None:
            return True
        # In ordinals, as a window may begin before there are dates.
        own = day.toordinal()
        last = own + window.last
        first = 0 if window.first is None else own + window.first
        return any(first <= moved.toordinal() <= last for moved in self.days)


def cause(look: Look, day: date, moves: Mapping[str, Moves]) -> str | None:
    """The layer whose move may have moved an output's day; None: nothing may have."""
    for window in look.layer.depends:
        if moves[window.layer].within(window, day):
            return window.layer
    own = look.layer.appears
    if own and look.appeared_or_went(day) and moves[own].within(Window(own, 0, 0), day):
        return own
    return None


def reaches(
    layers: Sequence[HistoryLayer], changed: HistoryLayer, day: date, moves: Mapping[str, Moves]
) -> tuple[Reach, ...]:
    """The output days that a changed input day can move, and how many of them did."""
    found = []
    for output, (first, last) in sorted(reach(layers, changed.name).items()):
        since = _shifted(day, first)
        until = None if last is None else _shifted(day, last)
        moved = [
            d for d in moves[output].days or () if since <= d and (until is None or d <= until)
        ]
        found.append(Reach(output, since, until, len(moved)))
    return tuple(found)


def _shifted(day: date, days: int) -> date:
    ordinal = min(max(day.toordinal() + days, 1), date.max.toordinal())
    return date.fromordinal(ordinal)
