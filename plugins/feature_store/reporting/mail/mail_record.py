"""What the record knows of mails: which were begun, and which were sent.

A mail is begun before it is given to the server, and ended when the server has answered. If it was
begun and never ended, nobody knows whether it arrived: it is sent once more, and says so. One that
the server refused did not arrive: it is sent again by each run of a week, until one is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from feature_store.audit.lease import RunKey
from feature_store.connection import Connection, one_row
from feature_store.reporting.mail.delivery import Delivery, DeliveryState
from feature_store.reporting.run.account import Account

_MOST_LEFT, _MOST_DOUBTFUL = 5, 2


@dataclass(frozen=True)
class Mailed:
    """What is known of the mails about one verdict.

    Attributes:
        tries: how many were begun.
        told: whether one of them was sent.
        doubtful: of how many nobody knows whether they arrived.
    """

    tries: int = 0
    told: bool = False
    doubtful: int = 0

    @property
    def enough(self) -> bool:
        """Whether no other mail may be sent."""
        return self.told or self.doubtful >= _MOST_DOUBTFUL


@dataclass(frozen=True)
class Untold:
    """A failed verdict without a mail, as far as the record knows."""

    verdict: int
    run: RunKey
    account: Account
    as_of_day: date | None
    run_type: str = ""


def mailed(connection: Connection, verdict: int, kind: str) -> Mailed:
    """What is known of the mails, or other messages, about a failed verdict."""
    row = one_row(
        connection,
        "SELECT count(*), coalesce(bool_or(m.sent), FALSE), "
        "count(*) FILTER (WHERE m.sent IS NULL) "
        "FROM feature_store_audit.mail AS m "
        "WHERE m.verdict_event = %s AND m.kind = %s",
        (verdict, kind),
    )
    return Mailed(*row)


def begin(
    connection: Connection,
    kind: str,
    verdict: int,
    nth: int,
    subject: str,
    sightings: Sequence[int] = (),
    warnings: Sequence[str] | None = None,
) -> int | None:
    """Record that a mail is about to be sent; None if another process was faster."""
    row = connection.execute(
        "INSERT INTO feature_store_audit.mail_log "
        "(kind, verdict_event, nth, sightings, subject, warnings) "
        "SELECT %(kind)s, %(verdict)s, %(nth)s, %(sightings)s::bigint[], %(subject)s, "
        "%(warnings)s::text[] "
        # What a run saw of a review is told once in each channel; for mails another log says so.
        "WHERE CASE WHEN %(kind)s = 'review' THEN NOT EXISTS ("
        "SELECT FROM feature_store_audit.history_mail_log AS h "
        "WHERE h.sighting_event = ANY(%(sightings)s::bigint[])) "
        "ELSE %(sightings)s::bigint[] = '{}' OR NOT %(sightings)s::bigint[] <@ ARRAY("
        "SELECT unnest(m.sightings) FROM feature_store_audit.mail AS m "
        "WHERE m.kind = %(kind)s AND m.sent IS NOT FALSE) END "
        "ON CONFLICT DO NOTHING RETURNING event_id",
        {
            "kind": kind,
            "verdict": verdict,
            "nth": nth,
            "sightings": list(sightings),
            "subject": subject,
            "warnings": None if warnings is None else list(warnings),
        },
    ).fetchone()
    return row[0] if row else None


def end(connection: Connection, event: int, delivery: Delivery) -> None:
    """Record whether a mail was sent. If nobody knows, record nothing."""
    if delivery.state is DeliveryState.UNKNOWN:
        return
    sent = delivery.state is DeliveryState.SENT
    with connection.transaction():
        connection.execute(
            "INSERT INTO feature_store_audit.mail_result_log (mail_event, sent, problem) "
            "VALUES (%s, %s, %s)",
            (event, sent, delivery.problem or None),
        )
        if sent:
            connection.execute(
                "INSERT INTO feature_store_audit.history_mail_log (sighting_event) "
                "SELECT unnest(m.sightings) FROM feature_store_audit.mail_log AS m "
                "WHERE m.event_id = %s AND m.kind = 'review' ON CONFLICT DO NOTHING",
                (event,),
            )


def told_sightings(connection: Connection, kind: str) -> frozenset[int]:
    """What was seen of reviews and told by messages of a kind, or may have been.

    For mails another log says so, as one that may have arrived is sent once more.
    """
    rows = connection.execute(
        "SELECT DISTINCT unnest(m.sightings) FROM feature_store_audit.mail AS m "
        "WHERE m.kind = %s AND m.sent IS NOT FALSE",
        (kind,),
    ).fetchall()
    return frozenset(sighting for (sighting,) in rows)


def told_warnings(connection: Connection, kind: str) -> frozenset[str]:
    """The warnings that people know of, by the latest mail or notice about warnings.

    If nobody knows whether that one arrived, it counts as arrived: a warning can wait.
    """
    row = connection.execute(
        "SELECT m.warnings FROM feature_store_audit.mail AS m "
        "WHERE m.kind = %s AND m.sent IS NOT FALSE ORDER BY m.event_id DESC LIMIT 1",
        (kind,),
    ).fetchone()
    return frozenset(row[0]) if row else frozenset()


def untold_failures(connection: Connection, kind: str) -> tuple[Untold, ...]:
    """Failed verdicts of the last week without a mail, oldest first; a few at most.

    A run that has started again is left out: its next verdict will be mailed. A channel that has
    never told of a failure may have been set just now. It is not told of what a later run has
    passed since, and a notice, which goes beside mails, not of what a mail has told.
    """
    rows = connection.execute(
        "SELECT v.event_id, v.dag_id, v.run_id, v.account, v.problem, r.as_of_day, "
        "coalesce(r.run_type, '') "
        "FROM (SELECT DISTINCT ON (g.dag_id, g.run_id) g.* "
        "FROM feature_store_audit.verdict_log AS g "
        "ORDER BY g.dag_id, g.run_id, g.event_id DESC) AS v "
        "LEFT JOIN feature_store_audit.run AS r ON v.dag_id = r.dag_id AND v.run_id = r.run_id "
        "WHERE v.verdict = 'failed' AND v.verdict_at > now() - interval '7 days' "
        "AND v.event_id > coalesce(r.event_id, 0) "
        "AND NOT EXISTS (SELECT FROM feature_store_audit.mail AS m "
        "WHERE m.verdict_event = v.event_id AND m.kind = %(kind)s "
        "HAVING bool_or(m.sent) OR count(*) FILTER (WHERE m.sent IS NULL) >= %(doubtful)s) "
        "AND (EXISTS (SELECT FROM feature_store_audit.mail AS m WHERE m.kind = %(kind)s) OR ("
        "v.event_id > coalesce((SELECT max(p.verdict_event) FROM feature_store_audit.run AS p "
        "WHERE p.verdict = 'passed'), 0) "
        "AND NOT EXISTS (SELECT FROM feature_store_audit.mail AS m "
        "WHERE m.verdict_event = v.event_id AND m.kind = 'failure' AND m.kind <> %(kind)s "
        "AND m.sent))) "
        "ORDER BY v.event_id DESC LIMIT %(most)s",
        {"kind": kind, "most": _MOST_LEFT, "doubtful": _MOST_DOUBTFUL},
    ).fetchall()
    return tuple(
        Untold(event, RunKey(dag_id, run_id), Account.read(account, problem), day, run_type)
        for event, dag_id, run_id, account, problem, day, run_type in reversed(rows)
    )
