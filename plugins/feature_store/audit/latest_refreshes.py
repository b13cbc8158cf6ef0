"""The latest refresh of every relation, as recorded: what a later one is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from feature_store.connection import Connection


@dataclass(frozen=True)
class Latest:
    """The latest refresh of a relation.

    Transaction numbers wrap around. A record from more than half their range ago, or from another
    cluster's future, proves nothing, so its states are left out.

    Attributes:
        refresh_id: of the refresh, in the audit schema.
        run_id: the run that made it.
        inputs: the states that it read, by name; None if unknown.
        outcome: the state of the rows that it left, as `row_versions.row_state` gives it; None if
            unknown.
        version: the transaction that had then written the view's row of ``pg_class``; None if
            unknown.
        saw_asking: whether it began after the caller's backfill was asked for.
    """

    refresh_id: int
    run_id: str
    inputs: dict[str, str | None] | None
    outcome: str | None
    version: str | None
    saw_asking: bool


LatestRefreshes = dict[str, Latest]


def read_latest(connection: Connection, asked: str | None = None) -> LatestRefreshes:
    """Read the latest refresh of every relation, by the relation's name.

    Args:
        connection: a pinned session.
        asked: the transaction that a backfill was asked for by; `backfill_requests.ask` gives it.
    """
    rows = connection.execute(
        """
        SELECT
            r.relation,
            r.refresh_id,
            r.run_id,
            known.inputs,
            known.outcome,
            known.version,
            coalesce(pg_visible_in_snapshot(%s::xid8, r.snapshot), FALSE)
        FROM feature_store_audit.latest_refresh AS l
        INNER JOIN feature_store_audit.refresh AS r ON l.refresh_id = r.refresh_id
        LEFT JOIN LATERAL (
            SELECT r.inputs, r.outcome, r.version
            WHERE
                pg_snapshot_xmax(pg_current_snapshot())::text::numeric
                - pg_snapshot_xmin(r.snapshot)::text::numeric BETWEEN 0 AND 2147483647
        ) AS known ON TRUE
        """,
        (asked,),
    ).fetchall()
    return {relation: Latest(*rest) for relation, *rest in rows}
