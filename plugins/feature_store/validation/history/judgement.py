"""The judgement of history: has the past moved, and may it?

What happened on a day is an input; what the store makes of it is an output. Inputs are held to
their age: a day within the settling window moves on, an older one is reviewed. Outputs are held to
their inputs: a day that moved although nothing that it may depend on did is a leak.

The baseline moves in the judgement's own transaction, all or nothing, and is compared with what the
same transaction sees. So a killed judgement leaves no trace, and a second one finds nothing new.
What is open (a review, a leak) keeps the baseline of its day until it is accepted or undone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from psycopg import Connection

from feature_store.audit.interference import check_untouched
from feature_store.audit.lease import Lease, under_lease
from feature_store.declarations.history_series import HistoryLayer, Role
from feature_store.relation_name import Name
from feature_store.settings import Settings
from feature_store.validation.history.definition_changes import (
    Standing,
    check_refreshed_in_order,
    take_standing,
)
from feature_store.validation.history.findings import (
    Kind,
    close_undone,
    find,
    lock_history,
    open_finding,
    open_leaks,
    pending_reviews,
)
from feature_store.validation.history.fingerprints import (
    Fingerprint,
    LayerRows,
    first_days,
    move_days,
)
from feature_store.validation.history.moved_days import Look, Moves, cause, reaches
from feature_store.validation.history.result import HistoryVerdict
from feature_store.validation.history.unchanged_rows import SeenRows

log = logging.getLogger(__name__)

# Inputs and what stands between go first: the outputs are held to what they did.
_ORDER = (Role.INPUT, Role.LINK, Role.AI, Role.OUTPUT)


def judge_history(
    connection: Connection[Any],
    layers: Sequence[HistoryLayer],
    lease: Lease,
    as_of_day: date,
    settings: Settings,
    today: date = date.max,
) -> HistoryVerdict:
    """Compare every day of every layer with its baseline, judge what moved, and move the baseline.

    Run it after every layer was refreshed. Asked again for the same run, it says the same again.

    Args:
        connection: a pinned session in autocommit mode.
        layers: what `history_series.read_history` read.
        lease: held until the transaction ends.
        as_of_day: the day that the run answers for.
        settings: zone and settling window.
        today: by Airflow's clock, which gives runs their days. A run that answered for a later one
            did so on a clock that was ahead, and makes no day old.

    Raises:
        LeaseTaken: the lease has changed hands.
        NotChecked: a layer was not refreshed after what it reads, or by somebody else since.
        psycopg.Error: the judgement could not be made.
    """
    verdict = under_lease(
        connection,
        lease,
        lambda: _Judgement(connection, layers, lease, settings).give(as_of_day, today),
        first=lambda: lock_history(connection),
    )
    if verdict.first or verdict.definition_changes:
        connection.execute("ANALYZE feature_store_audit.history_row")
    return verdict


class _Judgement:
    """One judgement, within its transaction."""

    def __init__(
        self,
        connection: Connection[Any],
        layers: Sequence[HistoryLayer],
        lease: Lease,
        settings: Settings,
    ) -> None:
        self._connection = connection
        self._layers = sorted(layers, key=lambda layer: _ORDER.index(layer.role))
        self._lease = lease
        self._run = lease.holder
        self._settings = settings
        self._moves: dict[str, Moves] = {}
        self._rows = SeenRows(connection, lease)

    def give(self, as_of_day: date, today: date) -> HistoryVerdict:
        started = time.monotonic()
        check_refreshed_in_order(self._connection, self._layers)
        layers = {Name.parse(name) for layer in self._layers for name, _ in layer.stands_on}
        check_untouched(self._connection, layers, "History")
        settled_before = self._settled_before(as_of_day, today)
        first, days = [], 0
        reviews: list[tuple[Look, list[date]]] = []
        for layer in self._layers:
            standing = take_standing(self._connection, layer, self._settings.zone, self._lease)
            if standing is not Standing.KEPT:
                self._moves[layer.name] = Moves(layer, None)
                days += self._start_anew(layer)
                first += [layer.name] if standing is Standing.FIRST else []
                continue
            look = self._look(layer)
            days += len(look.seen)
            self._moves[layer.name] = Moves(layer, look.moved)
            to_review = self._judge(look, settled_before)
            reviews.append((look, to_review))
        for look, to_review in reviews:
            self._open_reviews(look, to_review)
        return self._record(as_of_day, settled_before, tuple(first), days, started)

    def _settled_before(self, as_of_day: date, today: date) -> date:
        # A backfill answers for a day of the past; it makes no later day young again.
        row = self._connection.execute(
            "SELECT max(as_of_day) FROM feature_store_audit.history_judgement "
            "WHERE as_of_day <= %s",
            (today,),
        ).fetchone()
        newest = max(as_of_day, row[0]) if row and row[0] else as_of_day
        return newest - timedelta(days=self._settings.settling_days)

    def _look(self, layer: HistoryLayer) -> Look:
        rows = LayerRows(self._connection, layer)
        baseline = {
            day: Fingerprint(count, digest)
            for day, count, digest in self._connection.execute(
                "SELECT day, row_count, fingerprint FROM feature_store_audit.history_day "
                "WHERE layer = %s",
                (layer.name,),
            )
        }
        opened = {
            day: Fingerprint(count, digest)
            for day, count, digest in self._connection.execute(
                "SELECT day, row_count, fingerprint FROM feature_store_audit.history_finding "
                "WHERE layer = %s AND outcome IS NULL",
                (layer.name,),
            )
        }
        # Each day is as its baseline, unless something about it was left open.
        before = {day: seen for day, seen in {**baseline, **opened}.items() if seen.rows}
        if self._rows.are(layer, before):
            log.info("%s: the very rows that were judged before.", layer.name)
            return Look(layer, rows, before, baseline, opened)
        seen = rows.fingerprints()
        self._rows.remember(layer, seen)
        return Look(layer, rows, seen, baseline, opened)

    def _start_anew(self, layer: HistoryLayer) -> int:
        """Make a layer's days, as they are now, its baseline; how many they are."""
        rows = LayerRows(self._connection, layer)
        seen = rows.fingerprints() if layer.role is Role.LINK else rows.set_baseline()
        self._rows.remember(layer, seen)
        first_days(self._connection, layer.name, seen, self._run)
        return len(seen)

    def _judge(self, look: Look, settled_before: date) -> list[date]:
        """Move what may move, open what leaks; the days to review are given back."""
        layer = look.layer
        close_undone(self._connection, self._lease, layer.name, look.undone)
        differs = look.differs
        if layer.role is Role.LINK:
            self._move_days(look, differs)
            return []
        # What is open and as it was seen before has been said already.
        news = differs - look.said
        look.rows.find_changes(sorted(news), self._lease)
        if layer.role is Role.OUTPUT:
            held = {d for d in differs if d in look.opened or cause(look, d, self._moves) is None}
            self._open_leaks(look, sorted(held & news))
        elif layer.role is Role.INPUT:
            held = {d for d in differs if d in look.opened or d < settled_before}
        else:
            held = set()
            self._report_ai(look, sorted(news))
        free = differs - held
        self._move_days(look, free)
        return sorted(held & news) if layer.role is Role.INPUT else []

    def _open_leaks(self, look: Look, days: list[date]) -> None:
        differences = look.rows.differences(days)
        for day in days:
            windows = "; ".join(map(str, look.layer.depends))
            open_finding(
                self._connection,
                self._run,
                Kind.LEAK,
                look.layer,
                day,
                seen=look.seen_on(day),
                difference=differences[day],
                details=f"Nothing that it may depend on had changed when it moved ({windows}, "
                f"counted in days from its own).",
            )

    def _open_reviews(self, look: Look, days: list[date]) -> None:
        differences = look.rows.differences(days)
        for day in days:
            open_finding(
                self._connection,
                self._run,
                Kind.REVIEW,
                look.layer,
                day,
                seen=look.seen_on(day),
                difference=differences[day],
                reaches=reaches(self._layers, look.layer, day, self._moves),
            )

    def _report_ai(self, look: Look, days: list[date]) -> None:
        differences = look.rows.differences(days)
        for day, difference in sorted(differences.items()):
            if difference.changed:
                open_finding(
                    self._connection,
                    self._run,
                    Kind.AI,
                    look.layer,
                    day,
                    seen=look.seen_on(day),
                    difference=difference,
                )

    def _move_days(self, look: Look, days: set[date]) -> None:
        seen = {day: look.seen_on(day) for day in sorted(days)}
        move_days(self._connection, self._lease, look.layer.name, seen)

    def _record(
        self,
        as_of_day: date,
        settled_before: date,
        first: tuple[str, ...],
        days: int,
        started: float,
    ) -> HistoryVerdict:
        of_run = "kind = %s AND dag_id = %s AND run_id = %s"
        run = (self._run.dag_id, self._run.run_id)
        seconds = time.monotonic() - started
        self._connection.execute(
            "INSERT INTO feature_store_audit.history_judgement_log "
            "(dag_id, run_id, as_of_day, settled_before, days, seconds) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            (*run, as_of_day, settled_before, days, seconds),
        )
        verdict = HistoryVerdict(
            settled_before=settled_before,
            leaks=open_leaks(self._connection),
            reviews=pending_reviews(self._connection),
            definition_changes=find(self._connection, of_run, "definition", *run),
            ai_changes=find(self._connection, of_run, "ai", *run),
            first=first,
        )
        log.info(
            "History: %s days, %s leaks, %s reviews pending, %.2f s.",
            f"{days:,}",
            len(verdict.leaks),
            len(verdict.reviews),
            seconds,
        )
        return verdict
