"""The definitions behind a layer's history, and whether it was refreshed since they changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import Enum, auto

from psycopg.types.json import Jsonb

from feature_store.audit.lease import Lease
from feature_store.connection import Connection
from feature_store.declarations.history_series import HistorySeries
from feature_store.errors import NotChecked
from feature_store.text_format import in_words
from feature_store.validation.history.fingerprints import DIGEST_VERSION


class BaselineState(Enum):
    """Whether a layer has a baseline of its definitions."""

    FIRST = auto()  # there is no baseline yet
    REDEFINED = auto()  # the baseline was made under other definitions
    KEPT = auto()


def begin_if_redefined(
    connection: Connection, layer: HistorySeries, zone: str, lease: Lease
) -> BaselineState:
    """Compare a layer's definitions with those of its baseline, and say what changed.

    If they differ, a new, empty baseline begins.

    The definitions are: what apply created, the history's own query, and the time zone.
    """
    now = _definitions(connection, layer, zone)
    row = connection.execute(
        "SELECT definitions FROM feature_store_audit.history_layer WHERE layer = %s",
        (layer.name,),
    ).fetchone()
    if row and row[0] == now:
        return BaselineState.KEPT
    then = row[0] if row else now
    changed = sorted(k for k in now.keys() | then.keys() if now.get(k) != then.get(k))
    details = f"The definition changed: {', '.join(changed)}. Its baseline was set again."
    if row and (unanswered := _pending(connection, layer)):
        details += f" This closed reviews without an answer: {in_words(unanswered)}."
    connection.execute(
        "SELECT feature_store_audit.begin_baseline(%s, %s, %s, %s, %s)",
        (lease.token, layer.name, layer.relation, Jsonb(now), details),
    )
    return BaselineState.REDEFINED if row else BaselineState.FIRST


def _pending(connection: Connection, layer: HistorySeries) -> list[str]:
    """The days of a layer about which a review is pending."""
    rows = connection.execute(
        "SELECT day::text FROM feature_store_audit.history_finding "
        "WHERE layer = %s AND kind = 'review' AND outcome IS NULL ORDER BY day",
        (layer.name,),
    )
    return [day for (day,) in rows.fetchall()]


def _definitions(connection: Connection, layer: HistorySeries, zone: str) -> dict[str, str]:
    applied: dict[str, str] = dict(
        connection.execute(
            "SELECT object, file_definition FROM feature_store_audit.definition "
            "WHERE object = ANY(%s)",
            (list(layer.closure),),
        ).fetchall()
    )
    own = f"{layer.normal}\n{', '.join(layer.key)}\n{DIGEST_VERSION}"
    return {
        **{name: _digest(applied.get(name, "not created by apply")) for name in layer.closure},
        "the query of its history": _digest(own),
        "the zone": zone,
    }


def check_refreshed_in_order(connection: Connection, layers: Iterable[HistorySeries]) -> None:
    """Refuse to compare outputs with inputs that they have not seen.

    Raises:
        NotChecked: a layer has never been refreshed, or not since something that it reads.
    """
    latest = {
        relation: (refresh_id, inputs or {}, outcome)
        for relation, refresh_id, inputs, outcome in connection.execute(
            "SELECT r.relation, r.refresh_id, r.inputs, r.outcome "
            "FROM feature_store_audit.latest_refresh AS l "
            "INNER JOIN feature_store_audit.refresh AS r ON l.refresh_id = r.refresh_id"
        )
    }
    problems = set()
    for layer in layers:
        for name, below in layer.stands_on:
            if name not in latest:
                problems.add(f"{name} has never been refreshed")
                continue
            refresh_id, inputs, _ = latest[name]
            for lower in below:
                below_id, _, outcome = latest.get(lower, (0, {}, None))
                # A later refresh that left the same rows does not count.
                if below_id > refresh_id and (outcome is None or inputs.get(lower) != outcome):
                    problems.add(f"{name} was last refreshed before {lower}, which it reads")
    if problems:
        raise NotChecked(
            f"History cannot be checked: {'; '.join(sorted(problems))}.",
            next_step="Refresh what is missing (clear its task), then clear this one.",
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
