"""The verdict in one line: is the store fresh and certified, or why not?"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from feature_store.reporting.page.readers_told import readers_told, refused_sets, why_refused
from feature_store.reporting.page.schedule import due
from feature_store.reporting.page.store_facts import Facts
from feature_store.reporting.store.models import (
    RelationState,
    Standing,
    StoreVerdict,
)
from feature_store.reporting.store.relation_states import NOT_PROVEN
from feature_store.text_format import in_words, plural

# A run takes minutes to hours; a holder of the lease that was silent for longer is dead.
_SILENT = timedelta(hours=6)
_RUN = "Open the latest run, linked below: it says what to do, with the commands."
_LOG = "Read the log of the failed task, fix the cause, then clear that task with what follows it."


def judge(facts: Facts) -> StoreVerdict:
    """Give the verdict. What matters most to a reader of the store comes first."""
    for rule in (
        _empty,
        _running,
        _failed,
        _leaking,
        _yet_to_come,
        _changed,
        _replaced,
        _broken,
        _unstamped,
        _stale,
        _old_sources,
        _review,
    ):
        if verdict := rule(facts):
            return verdict
    unknown = f" {readers_told(facts.contracts)}" if refused_sets(facts.contracts) else ""
    if refused := why_refused(facts.contracts):
        return StoreVerdict(standing=Standing.FAILED, words=f"{refused}{unknown}")
    words = f"Fresh and certified: {_proven(facts)}{unknown}"
    return StoreVerdict(standing=Standing.CERTIFIED, words=words)


def _due_day(facts: Facts) -> date:
    """The day for which a run is due."""
    return due(facts.settings, facts.at).astimezone(ZoneInfo(facts.settings.zone)).date()


def _empty(facts: Facts) -> StoreVerdict | None:
    if all(r.state is RelationState.MISSING for r in facts.relations):
        return StoreVerdict(
            standing=Standing.EMPTY,
            words="The store has not been created yet.",
            next_step="bin/feature-store plan, then bin/feature-store apply",
        )
    if facts.latest is None and facts.lease is None:
        return StoreVerdict(
            standing=Standing.EMPTY,
            words="The store has been created and is empty: no run has filled it yet.",
            next_step=f"airflow dags unpause {facts.dag_id}",
        )
    return None


def _running(facts: Facts) -> StoreVerdict | None:
    lease = facts.lease
    if lease is None or abs(facts.at - lease.seen_at) > _SILENT:
        return None
    return StoreVerdict(
        standing=Standing.RUNNING,
        words=f"Run {lease.run_id} is under way since {_clock(facts, lease.taken_at)}. "
        + _meanwhile(facts),
    )


def _failed(facts: Facts) -> StoreVerdict | None:
    latest = facts.latest
    if latest is not None and latest.verdict == "passed":
        return None
    if latest is None or latest.verdict is None:
        # A run that died before it was recorded has only the lease.
        silent = latest or facts.lease
        assert silent is not None  # else the store is empty
        words, step = f"Run {silent.run_id} has stopped without a verdict.", _LOG
    else:
        words, step = f"The last run failed: {latest.cause.rstrip('.')}.", _RUN
    words = f"{words} {_meanwhile(facts)}"
    return StoreVerdict(standing=Standing.FAILED, words=words, next_step=step)


def _leaking(facts: Facts) -> StoreVerdict | None:
    leaks = facts.open("leak")
    if not leaks:
        return None
    relations = in_words(sorted({leak.relation for leak in leaks}))
    return StoreVerdict(
        standing=Standing.FAILED,
        words=f"{plural(len(leaks), 'old day')} of {relations} moved without cause.",
        next_step="bin/feature-store history",
    )


def _changed(facts: Facts) -> StoreVerdict | None:
    """Somebody has changed what the last run certified."""
    wrong = facts.in_state(*NOT_PROVEN)
    if not wrong:
        return None
    return StoreVerdict(
        standing=Standing.FAILED,
        words=f"The last run passed, but some relations are not proven now: {in_words(wrong)}. "
        f"{readers_told(facts.contracts)}".strip(),
        next_step="bin/feature-store plan; then trigger a new run of the DAG",
    )


def _replaced(facts: Facts) -> StoreVerdict | None:
    """Where it changes what readers of a set get, that is told before this."""
    if not facts.replaced:
        return None
    return StoreVerdict(
        standing=Standing.FAILED,
        words="The last run passed, but somebody has replaced the query of "
        f"{in_words(facts.replaced)} since apply. {readers_told(facts.contracts)}".strip(),
        next_step="bin/feature-store plan",
    )


def _broken(facts: Facts) -> StoreVerdict | None:
    broken = [contract for contract in facts.contracts if not contract.holds]
    if not broken:
        return None
    return StoreVerdict(
        standing=Standing.FAILED,
        words=f"The contract of {in_words([c.name for c in broken])} does not hold: "
        f"{broken[0].problems[0].rstrip('.')}.",
        next_step="bin/feature-store check-contract",
    )


def _unstamped(facts: Facts) -> StoreVerdict | None:
    if not facts.unstamped:
        return None
    return StoreVerdict(
        standing=Standing.FAILED,
        words=f"The next run will fail. Not as stamped: {in_words(facts.unstamped)}.",
        next_step="Restore the files; or, as the owner: bin/feature-store stamp-proofs",
    )


def _yet_to_come(facts: Facts) -> StoreVerdict | None:
    if facts.certified_at is None or not facts.is_to_come:
        return None
    return StoreVerdict(
        standing=Standing.STALE,
        words=f"Certified {_clock(facts, facts.certified_at)}, a time in the future: the server's "
        "clock was ahead then or is behind now. So nobody can tell whether the store is fresh. "
        f"{readers_told(facts.contracts)}".strip(),
        next_step="Correct the server's clock, then trigger a run of the DAG",
    )


def _stale(facts: Facts) -> StoreVerdict | None:
    expected = due(facts.settings, facts.at)
    if facts.certified_at is None:
        return None
    if facts.certified_at >= expected:
        return _outdated(facts)
    return StoreVerdict(
        standing=Standing.STALE,
        words=f"Not fresh: no run has certified the store since {_clock(facts, expected)}, "
        f"when one was due. {_proven(facts)}",
        next_step="Check that the scheduler runs and that the DAG is imported and not paused: "
        "airflow jobs check --job-type SchedulerJob; airflow dags list-import-errors",
    )


def _outdated(facts: Facts) -> StoreVerdict | None:
    """A run for an old day compares sources with that day, so it may pass with old sources."""
    day = _due_day(facts)
    if facts.answered_for is not None and facts.answered_for >= day:
        return None
    return StoreVerdict(
        standing=Standing.STALE,
        words=f"Not fresh: no run for {day} or later has passed, so no run has checked whether "
        f"the sources are fresh. {_proven(facts)}",
        next_step="Trigger a run of the DAG without as_of_day",
    )


def _old_sources(facts: Facts) -> StoreVerdict | None:
    """Nothing new comes in, so what is certified is old."""
    newest, most = facts.sources_until, facts.most_days_old
    if newest is None or most is None or (old := (_due_day(facts) - newest).days) <= most:
        return None
    return StoreVerdict(
        standing=Standing.STALE,
        words=f"Certified, but the sources are old: their newest day is {newest}, "
        f"{plural(old, 'day')} before the day of a run.",
        next_step="Check that the sources are still being filled",
    )


def _review(facts: Facts) -> StoreVerdict | None:
    reviews = facts.open("review")
    if not reviews:
        return None
    return StoreVerdict(
        standing=Standing.REVIEW,
        words=f"Certified, and {plural(len(reviews), 'change')} of old days "
        f"{'waits' if len(reviews) == 1 else 'wait'} for review: {_proven(facts)}",
        next_step="bin/feature-store history",
    )


def _proven(facts: Facts) -> str:
    n = len(facts.in_state(RelationState.CERTIFIED))
    latest, certified_at = facts.latest, facts.certified_at
    assert latest is not None, "the store is empty"
    assert certified_at is not None, "something is unproven"
    return (
        f"the run of {latest.as_of_day} proved {plural(n, 'relation')}, "
        f"{_clock(facts, certified_at)}."
    )


def _meanwhile(facts: Facts) -> str:
    """What readers have, whatever the latest run did."""
    gone = facts.in_state(*NOT_PROVEN)
    if facts.certified_at is None:
        return "Nothing has been certified yet."
    if gone or refused_sets(facts.contracts):
        words = f"Not proven now: {in_words(gone)}. " if gone else ""
        return f"{words}{readers_told(facts.contracts)}".strip()
    return f"What was certified {_clock(facts, facts.certified_at)} is still in place."


def _clock(facts: Facts, moment: datetime) -> str:
    local = moment.astimezone(facts.at.tzinfo)
    if local.date() == facts.at.date():
        return f"today at {local:%H:%M}"
    if local.date() == facts.at.date() - timedelta(days=1):
        return f"yesterday at {local:%H:%M}"
    return f"on {local:%Y-%m-%d at %H:%M}"
