"""Certification: which refresh of which relation a whole run has proven.

Readers ask through ``require_certified``, in the database (``include/sql/governance``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import Connection

from feature_store.errors import NotReady
from feature_store.lease import Holder, Lease, hold_lease
from feature_store.outline import SUITES
from feature_store.reuse.inputs import read_outcome, read_version
from feature_store.reuse.latest import read_latest
from feature_store.reuse.left import left_by
from feature_store.reuse.row_state import versions_of
from feature_store.wording import bullets

if TYPE_CHECKING:
    from feature_store.store import Store  # brings a parser of SQL, which few who come here need


def certify(connection: Connection[Any], lease: Lease, store: Store) -> None:
    """Record that the rows that every relation has now are proven.

    The run must have refreshed every relation last, and each suite must have found nothing
    critical since: whoever clears a single task of an old run cannot certify by clearing the last.

    Args:
        connection: the caller opens the transaction.
        lease: held until the transaction ends.
        store: its materialized views are certified, all or none.

    Raises:
        LeaseTaken: the lease has changed hands.
        NotReady: something was refreshed by another run, by hand, or since it was checked.
    """
    hold_lease(connection, lease)
    relations = [str(relation.name) for relation in store.refreshed]
    versions = _read_versions(connection, store)
    problems = _unproven(connection, lease.holder, relations) or _changed(connection, store)
    if problems:
        raise NotReady(
            f"This run cannot certify the store:\n{bullets(problems)}",
            readers="what the views have now; require_certified refuses rows not proven yet.",
            next_step="Trigger a new run of the DAG.",
        )
    connection.execute(
        """
        INSERT INTO feature_store_audit.certified (
            relation, refresh_id, file_node, dag_id, run_id, as_of_day, certified_at, version
        )
        SELECT
            l.relation,
            l.refresh_id,
            pg_relation_filenode(c.oid),
            r.dag_id,
            r.run_id,
            r.as_of_day,
            -- As old as what it rests on: nobody makes an old run young by clearing its last task.
            (
                SELECT min(e.checked_at) FROM feature_store_audit.expectation AS e
                WHERE e.dag_id = r.dag_id AND e.run_id = r.run_id
            ),
            v.version
        FROM feature_store_audit.latest_refresh AS l
        INNER JOIN feature_store_audit.run AS r ON r.dag_id = %s AND r.run_id = %s
        INNER JOIN pg_catalog.pg_class AS c ON c.relkind = 'm'
        INNER JOIN pg_catalog.pg_namespace AS n
            ON c.relnamespace = n.oid AND l.relation = n.nspname || '.' || c.relname
        LEFT JOIN unnest(%s::text[], %s::text[]) AS v (relation, version) ON l.relation = v.relation
        WHERE l.relation = ANY(%s)
        ON CONFLICT (relation) DO UPDATE SET
            refresh_id = excluded.refresh_id,
            file_node = excluded.file_node,
            dag_id = excluded.dag_id,
            run_id = excluded.run_id,
            as_of_day = excluded.as_of_day,
            certified_at = excluded.certified_at,
            version = excluded.version,
            withdrawn_by = NULL
        """,
        (
            lease.holder.dag_id,
            lease.holder.run_id,
            list(versions),
            list(versions.values()),
            relations,
        ),
    )


def withdraw(connection: Connection[Any], holder: Holder) -> None:
    """Take the certification back from relations that this run found broken, or leaking.

    It matters where the run did not refresh them: what it brought itself is not certified anyway.
    A feature set is certified only if every relation below it is.
    """
    connection.execute(
        """
        UPDATE feature_store_audit.certified AS c SET withdrawn_by = %(run)s
        WHERE c.withdrawn_by IS NULL AND c.relation IN (
            SELECT e.relation FROM feature_store_audit.expectation AS e
            INNER JOIN feature_store_audit.run AS r
                ON e.dag_id = r.dag_id AND e.run_id = r.run_id
            WHERE e.dag_id = %(dag)s AND e.run_id = %(run)s
                AND e.severity = 'critical' AND e.outcome = 'broken'
                -- Not what an earlier go of this run found, and not of rows that another run has
                -- replaced and proven since.
                AND e.checked_at >= r.prepared_at AND e.checked_at >= c.certified_at
            UNION ALL
            SELECT f.relation FROM feature_store_audit.history_finding AS f
            WHERE f.kind = 'leak' AND f.outcome IS NULL
        )
        """,
        {"dag": holder.dag_id, "run": holder.run_id},
    )


def read_certified(connection: Connection[Any]) -> dict[str, dict[str, Any]]:
    """What is certified of each relation: the run, its as-of day and the rows, as plain values."""
    return {
        relation: {"run_id": run_id, "as_of_day": as_of_day.isoformat(), "rows": rows}
        for relation, run_id, as_of_day, rows in connection.execute(
            "SELECT c.relation, c.run_id, c.as_of_day, r.row_count "
            "FROM feature_store_audit.certified AS c "
            "INNER JOIN feature_store_audit.refresh AS r ON c.refresh_id = r.refresh_id "
            "WHERE c.withdrawn_by IS NULL"
        )
    }


def certified_in_words(connection: Connection[Any]) -> str:
    """What was certified last, and whether readers still have it, for mails and reports."""
    rows = connection.execute(
        "SELECT c.relation, c.run_id, c.as_of_day, c.certified_at, "
        "c.refresh_id = l.refresh_id AND c.withdrawn_by IS NULL "
        # Another file, or none: rewritten by hand, or dropped.
        "AND c.file_node IS NOT DISTINCT FROM pg_relation_filenode(to_regclass(c.relation)), "
        "c.version = k.xmin::text "
        "FROM feature_store_audit.certified AS c "
        "LEFT JOIN pg_catalog.pg_class AS k ON k.oid = to_regclass(c.relation) "
        "INNER JOIN feature_store_audit.latest_refresh AS l ON c.relation = l.relation "
        "ORDER BY c.certified_at DESC, c.relation"
    ).fetchall()
    if not rows:
        return "nothing yet: no run has certified the store. require_certified raises."
    _, run_id, day, moment, *_ = rows[0]
    last = (
        f"the last run that certified the store answers for {day}: {run_id}, "
        f"{moment:%Y-%m-%d %H:%M %Z}."
    )
    gone = sorted(relation for relation, *_, holds, _ in rows if not holds)
    altered = sorted(relation for relation, *_, holds, same in rows if holds and same is False)
    if not gone and altered:
        return (
            f"{last} All that it certified is still in place; altered or refreshed by hand since, "
            f"so that require_certified looks at the rows: {', '.join(altered)}."
        )
    if not gone:
        return f"{last} All that it certified is still in place."
    if len(gone) == len(rows):
        return (
            f"{last} None of its {len(rows)} relations has those rows any more, so "
            "require_certified raises for every feature set."
        )
    return (
        f"{last} Of its {len(rows)} relations {len(gone)} no longer have those rows, so "
        f"require_certified raises for feature sets that read them: {', '.join(gone)}."
    )


def _unproven(connection: Connection[Any], holder: Holder, relations: list[str]) -> list[str]:
    latest = {
        relation: (run_id, finished_at, is_ours)
        for relation, run_id, finished_at, is_ours in connection.execute(
            """
            SELECT
                l.relation,
                l.run_id,
                l.finished_at,
                (l.dag_id = %(dag)s AND l.run_id = %(run)s) OR u.relation IS NOT NULL
            FROM feature_store_audit.latest_refresh AS l
            LEFT JOIN feature_store_audit.reuse AS u
                ON l.relation = u.relation AND l.refresh_id = u.refresh_id
                AND u.dag_id = %(dag)s AND u.run_id = %(run)s
            """,
            {"dag": holder.dag_id, "run": holder.run_id},
        )
    }
    problems = []
    newest = None
    for relation in relations:
        run_id, finished_at, is_ours = latest.get(relation, (None, None, False))
        if not is_ours:
            by = f"by run {run_id}" if run_id else "never"
            problems.append(f"{relation} was last refreshed {by}, not by this run.")
        elif newest is None or finished_at > newest:
            newest = finished_at
    if later := _checked_later(connection, holder):
        problems.append(f"Run {later} has checked the store since.")
    for suite in SUITES:
        checked, wrong = _checks(connection, holder, suite, newest)
        if not checked:
            problems.append(f"The suite {suite} has not been checked since the last refresh.")
        elif wrong:
            problems.append(f"The suite {suite} has critical findings: {wrong}.")
    return problems


def _read_versions(connection: Connection[Any], store: Store) -> dict[str, str | None]:
    """The version of each view's entry in the catalog, before its rows are looked at.

    So whoever refreshes it by hand meanwhile leaves another one.
    """
    return {str(r.name): read_version(connection, r) for r in store.refreshed}


def _changed(connection: Connection[Any], store: Store) -> list[str]:
    """Name the relations of which the rows are not those that their latest refresh left."""
    latest = read_latest(connection)
    left = left_by(latest)
    problems = []
    for relation in store.refreshed:
        recorded = latest[str(relation.name)].outcome
        now = read_outcome(connection, relation, left)
        if recorded is not None and (now is None or versions_of(now) != versions_of(recorded)):
            problems.append(
                f"{relation.name} has rows that are not those that this run proved: somebody has "
                "refreshed it by hand."
            )
    return problems


def _checked_later(connection: Connection[Any], holder: Holder) -> str | None:
    """Another run that checked after this one began to: what it says of the rows is newer."""
    row = connection.execute(
        "SELECT e.run_id FROM feature_store_audit.expectation AS e "
        "WHERE (e.dag_id, e.run_id) <> (%(dag)s, %(run)s) AND e.checked_at > ("
        "SELECT min(o.checked_at) FROM feature_store_audit.expectation AS o "
        "WHERE o.dag_id = %(dag)s AND o.run_id = %(run)s) "
        "ORDER BY e.checked_at DESC LIMIT 1",
        {"dag": holder.dag_id, "run": holder.run_id},
    ).fetchone()
    return row[0] if row else None


def _checks(connection: Connection[Any], holder: Holder, suite: str, since: Any) -> tuple[int, int]:
    row = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE severity = 'critical' AND outcome <> 'met') "
        "FROM feature_store_audit.expectation "
        "WHERE dag_id = %s AND run_id = %s AND suite = %s AND checked_at >= %s",
        (holder.dag_id, holder.run_id, suite, since),
    ).fetchone()
    assert row is not None  # an aggregate
    return row[0], row[1]
