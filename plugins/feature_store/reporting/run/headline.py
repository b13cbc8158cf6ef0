"""What broke, in one phrase: the cause, not its consequences."""

from __future__ import annotations

from collections.abc import Sequence

from feature_store.reporting.run.account import Account
from feature_store.reporting.run.facts import Finding
from feature_store.reporting.run.short_cause import short


def what_broke(account: Account, findings: Sequence[Finding] = ()) -> str:
    """The first cause of a failed run, and how many others there are.

    First come tasks that failed by themselves, because the rest could not be checked; then wrong
    data; then what could not be checked; then what the verdict itself found.
    """
    stopped = account.was_stopped
    phrases = [str(task) for task in account.failed if not task.suite and not stopped]
    phrases = phrases or [broken(finding) for finding in findings if finding.is_critical]
    if not phrases and not stopped:
        errors = [finding for finding in findings if finding.outcome == "error"]
        phrases = [unchecked(finding.suite, finding.observed) for finding in errors]
        known = {finding.suite for finding in errors}
        phrases += [
            unchecked(task.suite, task.cause.text)
            for task in account.failed
            if task.suite and task.suite not in known
        ]
    if not phrases:
        return account.brief or "no cause recorded, see the log"
    more = f" and {len(phrases) - 1} more" if len(phrases) > 1 else ""
    first = " ".join(phrases[0].split())
    # Cut the phrase, not the count.
    return f"{first if not more or len(first) <= 80 else first[:77].rstrip() + '...'}{more}"


def broken(finding: Finding) -> str:
    """What is broken, and how much of it."""
    if finding.layers:
        more = f" and {len(finding.layers) - 1} more" if len(finding.layers) > 1 else ""
        return f"{finding.suite} broken: {finding.layers[0]}{more}"
    if not finding.amount:
        return f"{finding.suite} broken: {finding.relation}"
    return f"{finding.suite} broken, {finding.amount} of {finding.relation}"


def unchecked(suite: str, cause: str) -> str:
    """Which suite could not be checked, and why, if that is known."""
    return f"{suite} could not be checked" + (f" ({short(cause)})" if cause else "")
