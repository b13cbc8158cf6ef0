"""Opens findings: days that need an answer, and days that are only reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from psycopg import Connection

from feature_store.audit.lease import Holder
from feature_store.validation.history.findings import Kind, Reach, open_finding
from feature_store.validation.history.moved_days import Look


def record_leaks(
    connection: Connection[Any], run: Holder, look: Look, days: Sequence[date]
) -> None:
    """Record leaks: days of an output that moved without cause."""
    differences = look.rows.differences(days)
    for day in days:
        windows = "; ".join(map(str, look.layer.depends))
        open_finding(
            connection,
            run,
            Kind.LEAK,
            look.layer,
            day,
            seen=look.seen_on(day),
            difference=differences[day],
            details=f"Nothing that it may depend on had changed ({windows}, in days from its own "
            "day).",
        )


def record_reviews(
    connection: Connection[Any],
    run: Holder,
    look: Look,
    reached: Mapping[date, tuple[Reach, ...]],
    *,
    recount: bool,
) -> None:
    """Record reviews of days of an input, or update open ones.

    Args:
        connection: in the judgement's transaction.
        run: the run that judges.
        look: the input.
        reached: what each of the days can move.
        recount: the days were only recounted since they were last seen.
    """
    differences = look.rows.differences(sorted(reached))
    for day, reaches in sorted(reached.items()):
        open_finding(
            connection,
            run,
            Kind.REVIEW,
            look.layer,
            day,
            seen=look.seen_on(day),
            difference=differences[day],
            reaches=reaches,
            recount=recount,
        )


def record_ai(connection: Connection[Any], run: Holder, look: Look, days: Sequence[date]) -> None:
    """Record days whose declared columns changed; nobody needs to answer."""
    for day, difference in sorted(look.rows.differences(days).items()):
        if difference.changed:
            open_finding(
                connection,
                run,
                Kind.AI,
                look.layer,
                day,
                seen=look.seen_on(day),
                difference=difference,
            )
