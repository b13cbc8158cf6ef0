"""Certification: which refresh of which relation a whole run has proven.

Readers ask through ``require_certified``, in the database (``sql/governance``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from feature_store.audit.lease import Lease, RunKey, hold_lease
from feature_store.connection import Connection
from feature_store.errors import LogBroken, NotReady
from feature_store.relation_name import LOG_SCHEMA
from feature_store.text_format import in_words
from feature_store.validation.certificates import (
    Certificate,
    asked_for,
    may_ask,
    read_certificates,
    read_stamped_sets,
    refused_first,
)

if TYPE_CHECKING:
    from feature_store.declarations.store_definition import (
        Store,  # imports a parser of SQL, which most callers do not need
    )


def certify(connection: Connection, lease: Lease, store: Store, logged: Collection[str]) -> None:
    """Record that the rows that every relation has now are proven, and that the run passed.

    In the same transaction, each entity that a feature set has for the first time goes into the
    set's log as certified: from now on models are given these values.

    The database checks the proofs itself (``feature_store_audit.certify``). The run must be the
    last to have refreshed every relation, or found it unchanged. Each suite of ``required_suite``
    must have checked exactly these refreshes and found nothing critical. The rows must still be
    those of the refreshes. So clearing a single task of an old run certifies nothing.

    Args:
        connection: the caller opens the transaction.
        lease: held until the transaction ends.
        store: its materialized views are certified, all or nothing.
        logged: the feature sets that have a log.

    Raises:
        LeaseTaken: the lease has changed hands.
        LogBroken: a log is not as it was sealed, or cannot take the rows.
        NotReady: something was refreshed by another run, by hand, or since it was checked.
    """
    hold_lease(connection, lease)
    if problems := _problems(connection, lease, store, logged):
        # Without the logs, nothing is against it: so they are.
        with connection.transaction(force_rollback=True):
            only_logs = not _problems(connection, lease, store, [])
        raise (LogBroken if only_logs else NotReady)(
            "This run cannot certify the store:",
            items=problems,
            readers="the rows that the views have now; require_certified refuses rows not proven "
            "yet.",
            next_step="If a log is named here, mend it first, then trigger a new run of the DAG."
            if only_logs
            else "Trigger a new run of the DAG.",
        )
    _require_written(connection, lease, store)


def _problems(
    connection: Connection, lease: Lease, store: Store, logged: Collection[str]
) -> list[str]:
    """Certify, or give what is against it, in words."""
    rows = connection.execute(
        "SELECT * FROM feature_store_audit.certify_and_log(%s, %s, %s)",
        (lease.token, [str(relation.name) for relation in store.refreshed], list(logged)),
    ).fetchall()
    return [problem for (problem,) in rows]


def _require_written(connection: Connection, lease: Lease, store: Store) -> None:
    """Check that the record says that the run is certified; else roll back.

    Raises:
        NotReady: it does not say so.
    """
    row = connection.execute(
        "SELECT r.verdict, (SELECT count(*) FROM feature_store_audit.certified AS c "
        "INNER JOIN feature_store_audit.latest_refresh AS l ON c.refresh_id = l.refresh_id "
        "WHERE c.dag_id = r.dag_id AND c.run_id = r.run_id AND c.relation = ANY(%s) "
        "AND c.event_id > r.event_id AND c.withdrawn_by IS NULL) "
        "FROM feature_store_audit.run AS r WHERE r.dag_id = %s AND r.run_id = %s",
        (
            [str(relation.name) for relation in store.refreshed],
            lease.holder.dag_id,
            lease.holder.run_id,
        ),
    ).fetchone()
    if row != ("passed", len(store.refreshed)):
        verdict, certified = row or ("no record", 0)
        raise NotReady(
            f"The run should now be certified, but its record says otherwise: {verdict}, with "
            f"{certified} of {len(store.refreshed)} relations certified.",
            readers="the rows that the views have now; require_certified refuses rows not proven "
            "yet.",
            next_step="Trigger a new run of the DAG.",
        )


def revoke(connection: Connection, run: RunKey) -> None:
    """Revoke the certification of relations that this run found broken or leaking.

    This matters for relations that the run did not refresh: its own rows are not certified anyway.
    A feature set is certified only if every relation below it is.
    """
    connection.execute(
        "SELECT feature_store_audit.withdraw_broken(%s, %s)", (run.dag_id, run.run_id)
    )


def keep_broken_logs(connection: Connection, run: RunKey, logged: Collection[str]) -> None:
    """Record which logs this run found not as they were sealed: their sets are refused.

    Args:
        connection: the caller opens the transaction.
        run: it raised `LogBroken`.
        logged: the feature sets whose logs it compared.
    """
    connection.execute(
        "SELECT feature_store_audit.keep_broken_logs(%s, %s, %s)",
        (run.dag_id, run.run_id, list(logged)),
    )


def read_certified(connection: Connection) -> dict[str, dict[str, Any]]:
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


def read_logged(connection: Connection, run: RunKey) -> dict[str, dict[str, Any]]:
    """How many rows each feature log got, from this run and in all, as plain values."""
    return {
        f"{LOG_SCHEMA}.{name}": {"rows_added": added, "rows": rows}
        for name, added, rows in connection.execute(
            "SELECT l.feature_set, "
            "coalesce(sum(s.row_count) FILTER (WHERE g.run_id IS NOT NULL), 0)::bigint, "
            "coalesce(sum(s.row_count), 0)::bigint "
            "FROM feature_store_audit.feature_log AS l "
            "LEFT JOIN feature_store_audit.seal AS s ON l.feature_set = s.feature_set "
            "LEFT JOIN feature_store_audit.seal_log AS g ON s.feature_set = g.feature_set "
            "AND s.serving = g.serving AND g.dag_id = %s AND g.run_id = %s "
            "GROUP BY l.feature_set",
            (run.dag_id, run.run_id),
        )
    }


def certified_in_words(
    connection: Connection, known: Mapping[str, Certificate] | None = None
) -> str:
    """What was certified last, and whether readers still have it, for mails and reports.

    Args:
        connection: a session that reads the record.
        known: the certificates of the sets' relations, where they were read already.
    """
    if not may_ask(connection):
        return (
            "not known: the record is older than this package, or this login may not ask. As the "
            "owner: `bin/feature-store apply`, then the SQL of `bin/feature-store grants`."
        )
    last = connection.execute(
        "SELECT c.as_of_day, c.run_id, c.certified_at FROM feature_store_audit.last_certified AS c"
    ).fetchone()
    if last is None:
        return "nothing yet: no run has certified the store. require_certified raises."
    day, run_id, moment = last
    told = [
        f"the last run that certified the store answers for {day}: {run_id}, "
        f"{moment:%Y-%m-%d %H:%M %Z}."
    ]
    gone, refused = _gone(connection), _refused(connection, known)
    if not gone and not refused:
        return f"{told[0]} All that it certified is still in place."
    return " ".join([*told, *gone, *(refused or ["require_certified refuses no feature set."])])


def _gone(connection: Connection) -> list[str]:
    """Which relations no longer have the certified rows, in at most one sentence."""
    rows = connection.execute(
        "SELECT c.relation, l.relation IS NOT NULL AND l.problem IS NULL "
        "FROM feature_store_audit.certified AS c "
        # What was dropped by name is no longer a relation of the store.
        "INNER JOIN feature_store_audit.definition AS d ON c.relation = d.object "
        "LEFT JOIN feature_store_audit.layer_now AS l ON c.relation = l.relation "
        "ORDER BY c.relation"
    ).fetchall()
    gone = [relation for relation, holds in rows if not holds]
    if not gone:
        return []
    if len(gone) == len(rows):
        return [f"None of its {len(rows)} relations still has those rows."]
    has = "has" if len(gone) == 1 else "have"
    return [
        f"Of its {len(rows)} relations {len(gone)} no longer {has} those rows: {', '.join(gone)}."
    ]


def _refused(connection: Connection, known: Mapping[str, Certificate] | None) -> list[str]:
    """The feature sets that may not be read now, and why; a sentence for each reason."""
    sets = asked_for(connection, read_stamped_sets(connection))
    asked = set(chain.from_iterable(sets.values()))
    if known is None or not known.keys() >= asked:
        known = read_certificates(connection, asked)
    reasons: dict[Certificate, list[str]] = {}
    for name, relations in sets.items():
        answer = refused_first(known[relation] for relation in relations)
        if answer.refusal is not None:
            reasons.setdefault(replace(answer, relation=""), []).append(name)
    return [
        f"require_certified raises for {in_words(names)}: {why.refusal}."
        if why.is_known
        else f"For {in_words(names)} nobody can tell at the moment: {why.refusal}."
        for why, names in reasons.items()
    ]
