"""The result of a history check, and the failure for a leak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from feature_store.errors import HistoryLeak
from feature_store.validation.history.findings import HistoryFinding


@dataclass(frozen=True)
class HistoryResult:
    """What a history check found.

    Attributes:
        leaks: every output day that moved without cause and is neither corrected nor accepted.
        reviews: every changed old input day that is not accepted.
        definition_changes: layers whose baseline this run set again for a new definition.
        first: layers of which this run made the first baseline.
    """

    leaks: tuple[HistoryFinding, ...]
    reviews: tuple[HistoryFinding, ...]
    definition_changes: tuple[HistoryFinding, ...]
    first: tuple[str, ...]


def assert_history(result: HistoryResult) -> None:
    """Pass unless an output moved without cause. Reviews wait for a person and do not fail.

    Raises:
        HistoryLeak: one did; the error names layer, day, rows, columns and keys.
    """
    if leak := leak_of(result.leaks):
        raise leak


def leak_of(leaks: Sequence[HistoryFinding], *, in_full: bool = True) -> HistoryLeak | None:
    """The problem, if there are leaks; in full with rows, columns and keys of each."""
    if not leaks:
        return None
    days = ", ".join(sorted({f"{leak.layer} of {leak.day}" for leak in leaks}))
    return HistoryLeak(
        f"The past moved without cause: {days}.",
        items=list(map(str, leaks)) if in_full else [],
        readers="the changed rows: do not train on them.",
        next_step="Find out what the layer reads of later days, fix its SQL and apply it. If the "
        "cause is known and harmless, accept the day with a reason instead.",
    )
