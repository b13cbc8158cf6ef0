"""The findings of history checks: kept forever, open until somebody answers them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from feature_store.audit.lease import Lease, RunKey
from feature_store.connection import Connection
from feature_store.declarations.history_series import HistorySeries
from feature_store.text_format import plural
from feature_store.validation.history.fingerprints import Fingerprint
from feature_store.validation.history.row_changes import CHANGE, Difference, drop_changes


class FindingKind(StrEnum):
    """What a finding means."""

    REVIEW = "review"  # an input's old day changed: a person must accept it
    LEAK = "leak"  # an output's day moved without cause
    DEFINITION = "definition"  # a layer's baseline was made anew, as its definition changed
    EXCEPTION = "ai"  # columns of a declared exception changed on a past day; an old word


@dataclass(frozen=True)
class AffectedDays:
    """The days of an output that a changed input day can move.

    Attributes:
        output: the output's name.
        first: the first of these days.
        last: the last; None: all later days.
        moved: how many of them changed in the run that found it.
    """

    output: str
    first: date
    last: date | None
    moved: int

    def __str__(self) -> str:
        days = f"{self.first} to {self.last}" if self.last else f"{self.first} and later"
        return f"{self.output} of {days} ({plural(self.moved, 'day')} moved)"


@dataclass(frozen=True)
class HistoryFinding:
    """One finding.

    Attributes:
        finding_id: its number.
        kind: what it means.
        layer: the layer's name.
        relation: the relation that the layer shows.
        day: the day that changed; None for the whole layer.
        difference: from the baseline, which was last accepted.
        reaches: for a review, the output days that it can move.
        details: more, in words.
        found_by: the run that found it.
        latest: the run that saw it change last.
        found_at: when it was found.
        outcome: None while it is open; else ``accepted``, ``undone`` (the day is as before),
            ``redefined`` (closed by a new definition) or ``reported`` (needs no answer).
        closed_at: when it was closed.
        closed_by: who accepted it.
        reason: why.
    """

    finding_id: int
    kind: FindingKind
    layer: str
    relation: str
    day: date | None
    difference: Difference
    reaches: tuple[AffectedDays, ...]
    details: str
    found_by: RunKey
    latest: RunKey
    found_at: datetime
    outcome: str | None
    closed_at: datetime | None
    closed_by: str | None
    reason: str | None

    def __str__(self) -> str:
        if self.day is None:
            return f"{self.layer} ({self.relation}): {self.details}"
        d = self.difference
        counts = f"{plural(d.came, 'row')} came, {d.went} went, {d.changed} changed"
        lines = [f"{self.layer} ({self.relation}) of {self.day}: {counts}"]
        if d.columns:
            lines[0] += f" in {', '.join(d.columns)}"
        if self.details:
            lines.append(self.details)
        if self.reaches:
            lines.append("Reaches " + "; ".join(map(str, self.reaches)))
        lines += [_shown(example) for example in d.examples[:3]]
        return "\n".join(lines)


def _shown(example: dict[str, Any]) -> str:
    named = (f"{k} {value}" for k, value in example.items() if k not in ("row", CHANGE))
    told = f"{example['row']}: {', '.join(named)}"
    return f"{told}: {example[CHANGE]}" if CHANGE in example else told


@dataclass(frozen=True)
class Sighting:
    """What a run saw of a finding.

    Attributes:
        seen: the day as it is now, which becomes its baseline when accepted.
        difference: how that differs from the baseline.
        reaches: the output days that it can move.
        details: more, in words.
        recount: only recounts have changed it since it was last seen, so nobody is told again.
    """

    seen: Fingerprint
    difference: Difference
    reaches: tuple[AffectedDays, ...] = ()
    details: str = ""
    recount: bool = False


def open_finding(
    connection: Connection,
    run: RunKey,
    kind: FindingKind,
    layer: HistorySeries,
    day: date | None,
    sighting: Sighting,
) -> None:
    """Record a finding, or update the one that is open for the layer's day.

    Args:
        connection: in the history check's transaction.
        run: the run that checks.
        kind: what it means; definition changes and columns of declared exceptions need no answer
            and are closed at once.
        layer: the layer.
        day: the day, None for the whole layer.
        sighting: what the run saw of it.
    """
    seen, d = sighting.seen, sighting.difference
    connection.execute(
        _OPEN,
        {
            "kind": kind.value,
            "layer": layer.name,
            "relation": layer.relation,
            "day": day,
            "came": d.came,
            "went": d.went,
            "changed": d.changed,
            "columns": list(d.columns),
            "examples": json.dumps(d.examples),
            "reaches": json.dumps([_as_json(r) for r in sighting.reaches]),
            "details": sighting.details,
            "rows": seen.rows,
            "digest": seen.digest,
            "recount": sighting.recount,
            "dag_id": run.dag_id,
            "run_id": run.run_id,
        },
    )


# An open finding of the day gets a new sighting; otherwise a finding begins.
_OPEN = """
WITH known AS (
    SELECT f.finding_id
    FROM feature_store_audit.history_finding AS f
    WHERE f.layer = %(layer)s AND f.day = %(day)s::date AND f.outcome IS NULL
),

begun AS (
    INSERT INTO feature_store_audit.history_finding_log (kind, layer, relation, day, dag_id, run_id)
    SELECT %(kind)s, %(layer)s, %(relation)s, %(day)s::date, %(dag_id)s, %(run_id)s
    WHERE NOT EXISTS (SELECT FROM known)
    RETURNING finding_id
)

INSERT INTO feature_store_audit.history_sighting_log (
    finding_id, rows_came, rows_went, rows_changed, changed_columns, examples, reaches, details,
    row_count, fingerprint, recount, dag_id, run_id
)
SELECT
    f.finding_id, %(came)s, %(went)s, %(changed)s, %(columns)s::text[], %(examples)s::json,
    %(reaches)s::jsonb, %(details)s, %(rows)s, %(digest)s::bytea, %(recount)s, %(dag_id)s,
    %(run_id)s
FROM (SELECT k.finding_id FROM known AS k UNION ALL SELECT b.finding_id FROM begun AS b) AS f
"""


def close_undone(connection: Connection, lease: Lease, layer: str, days: Sequence[date]) -> None:
    """Close findings of days that are as their baseline again: nobody needs to answer."""
    closed = connection.execute(
        "INSERT INTO feature_store_audit.history_closing_log (finding_id, outcome) "
        "SELECT f.finding_id, 'undone' FROM feature_store_audit.history_finding AS f "
        "WHERE f.layer = %s AND f.outcome IS NULL AND f.day = ANY(%s::date[]) "
        "RETURNING finding_id",
        (layer, list(days)),
    ).fetchall()
    if closed:
        drop_changes(connection, lease, layer, days)


def find(connection: Connection, condition: str, *values: Any) -> tuple[HistoryFinding, ...]:
    """The findings that match a condition, by day and layer."""
    rows = connection.execute(f"{_FINDINGS} WHERE {condition} {_ORDER}".encode(), values).fetchall()
    return tuple(_finding(row) for row in rows)


def pending_reviews(connection: Connection) -> tuple[HistoryFinding, ...]:
    """The changes of old input days that nobody has accepted yet."""
    return find(connection, "outcome IS NULL AND kind = 'review'")


def open_leaks(connection: Connection) -> tuple[HistoryFinding, ...]:
    """The output days that moved without cause and are still different."""
    return find(connection, "outcome IS NULL AND kind = 'leak'")


def lock_history(connection: Connection) -> None:
    """Keep history checks and acceptances from happening at the same time.

    Call it first: ``LOCK TABLE`` as the first statement takes no snapshot.
    """
    connection.execute("LOCK TABLE feature_store_audit.history_lock IN SHARE ROW EXCLUSIVE MODE")


def _as_json(reach: AffectedDays) -> dict[str, Any]:
    return {
        "output": reach.output,
        "first": reach.first.isoformat(),
        "last": reach.last.isoformat() if reach.last else None,
        "moved": reach.moved,
    }


def _reach(found: dict[str, Any]) -> AffectedDays:
    last = date.fromisoformat(found["last"]) if found["last"] else None
    return AffectedDays(found["output"], date.fromisoformat(found["first"]), last, found["moved"])


_FINDINGS = """
SELECT finding_id, kind, layer, relation, day, rows_came, rows_went, rows_changed,
    changed_columns, examples, reaches, details, dag_id, run_id, latest_dag_id, latest_run_id,
    found_at, outcome, closed_at, closed_by, reason
FROM feature_store_audit.history_finding
"""
_ORDER = 'ORDER BY day NULLS FIRST, layer COLLATE "C", finding_id'


def _finding(row: tuple[Any, ...]) -> HistoryFinding:
    return HistoryFinding(
        finding_id=row[0],
        kind=FindingKind(row[1]),
        layer=row[2],
        relation=row[3],
        day=row[4],
        difference=Difference(row[5], row[6], row[7], tuple(row[8]), tuple(row[9])),
        reaches=tuple(map(_reach, row[10])),
        details=row[11],
        found_by=RunKey(row[12], row[13]),
        latest=RunKey(row[14], row[15]),
        found_at=row[16],
        outcome=row[17],
        closed_at=row[18],
        closed_by=row[19],
        reason=row[20],
    )
