"""Opens findings: days that need an answer, and days that are only reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from feature_store.audit.lease import RunKey
from feature_store.connection import Connection
from feature_store.validation.history.findings import (
    AffectedDays,
    FindingKind,
    Sighting,
    open_finding,
)
from feature_store.validation.history.moved_days import ComparedSeries


def record_leaks(
    connection: Connection, run: RunKey, series: ComparedSeries, days: Sequence[date]
) -> None:
    """Record leaks: days of an output that moved without cause."""
    differences = series.rows.differences(days)
    for day in days:
        windows = "; ".join(map(str, series.layer.depends))
        open_finding(
            connection,
            run,
            FindingKind.LEAK,
            series.layer,
            day,
            Sighting(
                series.seen_on(day),
                differences[day],
                details=f"Nothing that it may depend on had changed ({windows}, in days from "
                "its own day).",
            ),
        )


def record_reviews(
    connection: Connection,
    run: RunKey,
    series: ComparedSeries,
    reached: Mapping[date, tuple[AffectedDays, ...]],
    *,
    recount: bool,
) -> None:
    """Record reviews of days of an input, or update open ones.

    Args:
        connection: in the check's transaction.
        run: the run that checks.
        series: the input.
        reached: what each of the days can move.
        recount: the days were only recounted since they were last seen.
    """
    differences = series.rows.differences(sorted(reached))
    for day, reaches in sorted(reached.items()):
        open_finding(
            connection,
            run,
            FindingKind.REVIEW,
            series.layer,
            day,
            Sighting(series.seen_on(day), differences[day], reaches, recount=recount),
        )


def record_exceptions(
    connection: Connection, run: RunKey, series: ComparedSeries, days: Sequence[date]
) -> None:
    """Record days whose declared columns changed; nobody needs to answer."""
    for day, difference in sorted(series.rows.differences(days).items()):
        if difference.changed:
            open_finding(
                connection,
                run,
                FindingKind.EXCEPTION,
                series.layer,
                day,
                Sighting(series.seen_on(day), difference),
            )
