"""The history check: have old days changed, and may they?

What happened on a day is an input; what the store makes of it is an output. Inputs are judged by
age: a changed day within the settling window is accepted, an older one is reviewed. Outputs are
judged by their inputs: a changed day is a leak if nothing that it may depend on has changed.

The baseline moves in the check's own transaction, all or nothing, and is compared with what the
same transaction sees. So a killed check leaves no trace, and a second one finds nothing new. A day
with an open review or leak keeps its baseline until the finding is accepted or undone.

An old input day that was only recounted (`recounts`) is accepted without a review, unless an output
changed in more than counts and nothing else explains that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from feature_store.audit.interference import check_untouched
from feature_store.audit.lease import Lease, under_lease
from feature_store.connection import Connection, one_value
from feature_store.declarations.history_series import HistorySeries, Role, in_order
from feature_store.relation_name import Name
from feature_store.settings import Settings
from feature_store.validation.history import opened_findings
from feature_store.validation.history.baseline_days import first_days, move_days
from feature_store.validation.history.definition_changes import (
    BaselineState,
    begin_if_redefined,
    check_refreshed_in_order,
)
from feature_store.validation.history.findings import (
    FindingKind,
    close_undone,
    found_in,
    lock_history,
    open_leaks,
    pending_reviews,
)
from feature_store.validation.history.fingerprints import Fingerprint, LayerRows
from feature_store.validation.history.moved_days import (
    ChangedDays,
    ComparedSeries,
    affected_days,
    explained_by,
    moved_link,
    weigh,
)
from feature_store.validation.history.recounts import read_known, told_apart
from feature_store.validation.history.result import HistoryResult
from feature_store.validation.history.unchanged_rows import SeenRows

log = logging.getLogger(__name__)

_LATEST = "SELECT max(as_of_day) FROM feature_store_audit.history_judgement WHERE as_of_day <= %s"


def judge_history(
    connection: Connection,
    layers: Sequence[HistorySeries],
    lease: Lease,
    as_of_day: date,
    settings: Settings,
    today: date = date.max,
) -> HistoryResult:
    """Compare every day of every layer with its baseline, judge the changes, move the baseline.

    Run it after every layer was refreshed. A second call for the same run gives the same result.

    Args:
        connection: a pinned session in autocommit mode.
        layers: what `history_series.read_history` read.
        lease: held until the transaction ends.
        as_of_day: the day that the run answers for.
        settings: zone and settling window.
        today: by Airflow's clock, which gives runs their days. A run for a later day had a clock
            that was ahead, so it does not make days old.

    Raises:
        LeaseTaken: the lease has changed hands.
        NotChecked: a layer was not refreshed after what it reads, or somebody refreshed it since.
        psycopg.Error: the check failed.
    """
    result = under_lease(
        connection,
        lease,
        lambda: _HistoryCheck(connection, layers, lease, settings).give(as_of_day, today),
        first=lambda: lock_history(connection),
    )
    if result.first or result.definition_changes:
        connection.execute("SELECT feature_store_audit.analyze_history()")
    return result


@dataclass(frozen=True)
class _Old:
    """The old days of an input that have changed since they were last checked.

    Attributes:
        series: the input.
        days: the days.
        recounted: those that were only recounted.
    """

    series: ComparedSeries
    days: frozenset[date]
    recounted: frozenset[date]


class _HistoryCheck:
    """One history check, within its transaction."""

    def __init__(
        self,
        connection: Connection,
        layers: Sequence[HistorySeries],
        lease: Lease,
        settings: Settings,
    ) -> None:
        self._connection = connection
        self._layers = in_order(layers)
        self._lease = lease
        self._run = lease.holder
        self._settings = settings
        self._changes: dict[str, ChangedDays] = {}
        self._old: list[_Old] = []
        # Recounted days, with their layers, that also moved other values.
        self._weighty: set[tuple[str, date]] = set()
        self._recounts: dict[str, set[date]] = {}
        self._rows = SeenRows(connection, lease)

    def give(self, as_of_day: date, today: date) -> HistoryResult:
        started = time.monotonic()
        check_refreshed_in_order(self._connection, self._layers)
        layers = {Name.parse(name) for layer in self._layers for name, _ in layer.stands_on}
        check_untouched(self._connection, layers, "History")
        settled_before = self._settled_before(as_of_day, today)
        first, days = [], 0
        for layer in self._layers:
            state = begin_if_redefined(self._connection, layer, self._settings.zone, self._lease)
            if state is not BaselineState.KEPT:
                self._changes[layer.name] = ChangedDays(layer, None)
                days += self._start_anew(layer)
                first += [layer.name] if state is BaselineState.FIRST else []
                continue
            series = self._compare(layer)
            days += len(series.seen)
            self._judge(series, settled_before)
        for old in self._old:
            self._settle(old)
        return self._record(as_of_day, settled_before, tuple(first), days, started)

    def _settled_before(self, as_of_day: date, today: date) -> date:
        # A backfill runs for an old day; that does not make later days young again.
        latest = one_value(self._connection, _LATEST, (today,))
        return max(as_of_day, latest or as_of_day) - timedelta(days=self._settings.settling_days)

    def _compare(self, layer: HistorySeries) -> ComparedSeries:
        rows = LayerRows(self._connection, layer)
        rows.keep_said(self._lease)
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
        # Each day is as its baseline, unless it has an open finding.
        before = {day: seen for day, seen in {**baseline, **opened}.items() if seen.rows}
        known = read_known(self._connection, layer, self._rows.known(layer))
        if self._rows.are(layer, before):
            log.info("%s: the same rows as at the last check.", layer.name)
            return ComparedSeries(layer, rows, before, baseline, opened, known)
        sums = rows.sums()
        same = self._rows.same_days(layer, before, sums)
        told = "%s: %s of %s days have the same rows as at the last check."
        log.info(told, layer.name, len(same), len(sums))
        seen = {day: before[day] for day in same} | rows.fingerprints(sums.keys() - same)
        self._rows.remember(layer, seen, sums, known.now)
        return ComparedSeries(layer, rows, seen, baseline, opened, known)

    def _start_anew(self, layer: HistorySeries) -> int:
        """Make a layer's current days its baseline; returns how many there are."""
        rows = LayerRows(self._connection, layer)
        sums = rows.sums()
        seen = rows.fingerprints(sums) if layer.role is Role.LINK else rows.set_baseline()
        rows.has_said(self._lease)
        known = read_known(self._connection, layer, None).now
        self._rows.remember(layer, seen, sums, known)
        first_days(self._connection, layer.name, seen, self._run)
        return len(seen)

    def _judge(self, series: ComparedSeries, settled_before: date) -> None:
        """Move the baseline where allowed, and open leaks; old days of inputs are handled last."""
        close_undone(self._connection, self._lease, series.layer.name, series.undone)
        self._changes[series.layer.name] = ChangedDays(series.layer, series.moved)
        if series.layer.role is Role.LINK:
            self._changes[series.layer.name] = moved_link(series, self._changes)
            self._move_days(series, series.differs)
            return
        # An open finding without a change has been reported already.
        news = series.differs - series.reported
        then = series.rows.essences(series.opened.keys() & news, series.layer.counted)
        series.rows.find_changes(sorted(news), self._lease)
        if series.layer.role is Role.INPUT:
            self._judge_input(series, settled_before, then)
        elif series.layer.role is Role.OUTPUT:
            self._judge_output(series)
        else:
            opened_findings.record_exceptions(self._connection, self._run, series, sorted(news))
            self._move_days(series, series.differs)

    def _judge_input(
        self, series: ComparedSeries, settled_before: date, then: dict[date, bytes]
    ) -> None:
        held = {d for d in series.differs if d in series.opened or d < settled_before}
        days = frozenset(held - series.reported)
        now = series.rows.essences(days, series.layer.counted)
        recounted = frozenset(d for d in days if now.get(d) == then.get(d) and series.known.same(d))
        moved = series.moved - recounted
        self._changes[series.layer.name] = ChangedDays(series.layer, moved, recounted)
        self._old.append(_Old(series, days, recounted))
        self._move_days(series, series.differs - held)

    def _judge_output(self, series: ComparedSeries) -> None:
        odd = {
            d
            for d in series.differs
            if d in series.opened or explained_by(series, d, self._changes) is None
        }
        weighed = weigh(series, odd - series.opened.keys(), self._changes)
        for day in weighed.weighty:
            self._weighty |= weighed.behind[day]
        counted = weighed.behind.keys() - weighed.weighty - weighed.leaks
        self._changes[series.layer.name] = ChangedDays(series.layer, series.moved - counted)
        held = odd - counted - weighed.weighty
        news = sorted(held - series.reported)
        opened_findings.record_leaks(self._connection, self._run, series, news)
        self._move_days(series, series.differs - held)

    def _settle(self, old: _Old) -> None:
        """Open reviews of an input's old days; accept those that were only recounted."""
        layer, name = old.series.layer, old.series.layer.name
        recounted = {d for d in old.recounted if (name, d) not in self._weighty}
        reviewed = recounted & old.series.opened.keys()
        for days, recount in ((old.days - recounted, False), (reviewed, True)):
            reached = {day: affected_days(self._layers, layer, day, self._changes) for day in days}
            opened_findings.record_reviews(
                self._connection, self._run, old.series, reached, recount=recount
            )
        self._recounts[name] = recounted - reviewed
        self._move_days(old.series, self._recounts[name])

    def _move_days(self, series: ComparedSeries, days: set[date]) -> None:
        seen = {day: series.seen_on(day) for day in sorted(days)}
        move_days(self._connection, self._lease, series.layer.name, seen)

    def _record(
        self,
        as_of_day: date,
        settled_before: date,
        first: tuple[str, ...],
        days: int,
        started: float,
    ) -> HistoryResult:
        run = (self._run.dag_id, self._run.run_id)
        seconds = time.monotonic() - started
        self._connection.execute(
            "INSERT INTO feature_store_audit.history_judgement_log "
            "(dag_id, run_id, as_of_day, settled_before, days, seconds, recounts) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (*run, as_of_day, settled_before, days, seconds, told_apart(self._recounts)),
        )
        result = HistoryResult(
            leaks=open_leaks(self._connection),
            reviews=pending_reviews(self._connection),
            definition_changes=found_in(self._connection, self._run, FindingKind.DEFINITION),
            first=first,
        )
        log.info(
            "History: %s days, %s leaks, %s reviews pending, %.2f s.",
            f"{days:,}",
            len(result.leaks),
            len(result.reviews),
            seconds,
        )
        return result
