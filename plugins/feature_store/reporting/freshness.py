"""Freshness: how long ago a whole run certified the store, asked from outside Airflow.

A failed run sends a mail. A DAG that cannot be imported or a scheduler that is down sends none.
The answer comes from ``store_freshness`` in the database (``sql/governance``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from feature_store.connection import Connection
from feature_store.declarations.store_profile import StoreProfile
from feature_store.errors import BadInput, NotReady


@dataclass(frozen=True)
class Freshness:
    """What one schema's ``store_freshness`` says.

    Attributes:
        ok: certified recently enough.
        certified_at: when, last; None if never.
        age: time since then.
        as_of_day: the day that the certifying run answers for.
        run_id: that run.
        feature_set: the active one.
        readable: whether ``require_certified`` lets its readers through now.
        problem: why not.
        sources_until: the newest day of the sources; None if no refresh has recorded it yet, or one
            outside the years 1 to 9999.
    """

    ok: bool
    certified_at: datetime | None
    age: timedelta | None
    as_of_day: date | None
    run_id: str | None
    feature_set: str | None
    readable: bool
    problem: str | None
    sources_until: date | None = None

    def __str__(self) -> str:
        name = self.feature_set or "no active feature set"
        if self.certified_at is None or self.age is None:
            return f"{name}: never certified"
        age = str(timedelta(seconds=round(self.age.total_seconds())))
        certified = (
            f"{name}: certified {self.certified_at:%Y-%m-%d %H:%M %Z}, {age} ago, "
            f"for {self.as_of_day}, by run {self.run_id}"
        )
        if self.sources_until:
            certified += f"; the newest day of the sources is {self.sources_until}"
        return certified if self.readable else f"{certified}; not readable now: {self.problem}"


def read_freshness(
    connection: Connection, max_age: str, profile: StoreProfile
) -> tuple[Freshness, ...]:
    """How fresh the store is, for the active feature set of each schema.

    Args:
        connection: a session that may use these schemas.
        max_age: an interval as PostgreSQL reads it, such as ``30 hours``.
        profile: the store.

    Raises:
        BadInput: ``max_age`` is not an interval, or is negative.
        NotReady: the store has not been created.
    """
    try:
        return tuple(_ask(connection, schema, max_age) for schema in profile.governed_schemas)
    except psycopg.DataError as error:
        if error.sqlstate is None:  # not the server's: it took the age
            raise
        raise BadInput(
            f"The age {max_age!r} cannot be used: {error.diag.message_primary}.",
            next_step="Give an interval such as '30 hours'.",
        ) from error
    except (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName) as error:
        raise NotReady(
            "The store's freshness guard has not been created.",
            next_step="Run `bin/feature-store apply`.",
        ) from error


def staleness(found: tuple[Freshness, ...], max_age: str) -> NotReady | None:
    """The problem, if the store was certified longer ago than that, or never."""
    stale = [str(one) for one in found if not one.ok]
    if not stale:
        return None
    return NotReady(
        f"The store is not fresh: no run has certified it within {max_age}.",
        items=stale,
        readers="the rows of the last refresh; require_certified says whether they are proven.",
        next_step="Check that the scheduler runs and the DAG is imported: "
        "`airflow jobs check --job-type SchedulerJob`, `airflow dags list-import-errors`.",
    )


def _ask(connection: Connection, schema: str, max_age: str) -> Freshness:
    with connection.cursor(row_factory=class_row(Freshness)) as cursor:
        query = sql.SQL("SELECT * FROM {}(%s::interval)").format(
            sql.Identifier(schema, "store_freshness")
        )
        (row,) = cursor.execute(query, (max_age,))
    return row
