"""What to do after a run failed, chosen by the kind of failure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.store_definition import read_store
from feature_store.errors import (
    ConnectionRefused,
    DuplicateKey,
    ExpectationsBroken,
    StoreError,
)
from feature_store.reporting.run.account import Account, Cause
from feature_store.reporting.run.facts import Finding
from feature_store.reporting.run.repeated_keys import both_rows, repeated, seen_twice
from feature_store.reporting.run.run_again import (
    STOPPED,
    PastRun,
    last_step,
    run_with,
    to_clear,
)
from feature_store.reporting.run.step import Step

_REFUSED = ConnectionRefused.__name__
_UNREACHABLE = {
    "AdminShutdown",
    "CannotConnect",
    "CannotConnectNow",
    "CheckInterrupted",
    _REFUSED,
    "CrashShutdown",
    "OperationalError",
}
# A database that answered, and said why not.
_SHORT_OF = re.compile(
    r"\(psycopg\.errors\.(DiskFull|OutOfMemory|InsufficientResources|LockNotAvailable|DeadlockDetected"
    r"|SerializationFailure)\)"
)
_DUPLICATE = DuplicateKey.__name__
_GUARDED = ExpectationsBroken.__name__
_REFRESHES = "feature_store_audit.refresh"
"""What an expectation about refreshes, not about rows, is of."""
_LEFT_OUT = Step(
    "A layer was left out of this run, or somebody else refreshed it. Nothing is known to be wrong "
    "with its rows."
)
_BY_NOBODY = Step(
    "If nobody stopped it, the log of the task that ran last, or of assert_contract, says where it "
    "ended."
)
# The answer to each kind of failure that the verdict itself finds.
_OF_KIND = {
    "ContractBroken": Step(
        "The contract and the database differ. To see where:",
        "bin/feature-store check-contract",
    ),
    "HistoryLeak": Step(
        "Do not train on these rows. To see which old days changed, and how:",
        "bin/feature-store history",
    ),
    "LeakFound": Step(
        "Do not train on these rows. To see which features read what was not known at t0:",
        "bin/feature-store check-leaks",
    ),
    "NotReady": Step("To see everything that must be fixed first:", "bin/feature-store plan"),
    "ProofsChanged": Step(
        "Restore the files. If the change is intended, stamp it as the owner:",
        "bin/feature-store stamp-proofs",
    ),
}


_SECTIONS = {
    "ContractBroken": "The contract drifted",
    "HistoryLeak": "A leak",
    "LeakFound": "A leak",
    "LogBroken": "A feature log is not as it was sealed",
    "ProofsChanged": "The proofs changed",
    "RowsLost": "Rows are lost",
}


def section(account: Account, findings: Sequence[Finding]) -> str:
    """The section of the runbook, docs/operations.md, about this kind of failure."""
    own = next((failed for failed in account.failed if not failed.suite), None)
    if account.was_stopped and not any(finding.is_critical for finding in findings):
        return "Stopping a run"
    if own and own.task_id == "prepare" and own.cause.kind not in _UNREACHABLE:
        return _SECTIONS.get(own.cause.kind, "Prepare stopped the run")
    if own:
        return "Rows are lost" if own.cause.kind == "RowsLost" else "A refresh failed"
    if any(finding.is_critical for finding in findings):
        return "An expectation is broken"
    if any(finding.outcome == "error" for finding in findings) or account.failed:
        return "An expectation could not be checked"
    return _SECTIONS.get(account.kind, "The mails")


def next_steps(
    run: PastRun, account: Account, findings: Sequence[Finding], include_dir: Path
) -> tuple[Step, ...]:
    """The steps, in order; the last one runs again, unless the error itself says how.

    Args:
        run: that failed.
        account: why it failed.
        findings: of its suites.
        include_dir: the store's folder.
    """
    critical = [finding for finding in findings if finding.is_critical]
    tasks = to_clear(run.tasks, account, critical, include_dir)
    own = next((failed.cause for failed in account.failed if not failed.suite), None)
    kind = own.kind if own else account.kind
    differing = [finding for finding in critical if finding.compared is not None]
    twice = repeated(critical, include_dir)
    seen = seen_twice(critical, include_dir)
    steps = []
    # If tasks failed, the verdict says only that. What to clear comes last.
    silent = account.failed or account.kind == "NotReady"  # it already says: trigger a new run
    advice = own.next_step if own else "" if silent else account.next_step
    also = [failed for failed in account.failed if failed.cause.kind in _UNREACHABLE]
    lost = kind in _UNREACHABLE or (not own and also)
    # Where a suite found broken rows, they come first, whatever kept another suite from its work.
    if lost and (own or not critical):
        steps += [Step(advice)] if advice else []
        steps.append(_unreachable(account, findings))
    elif kind == _DUPLICATE or twice or seen:
        rows = {step.command: step for step in both_rows(tasks, twice, include_dir)}
        steps += (rows | {step.command: step for _, step in seen}).values()
    elif kind in _OF_KIND and (own or kind != "NotReady") and not _says_more(own):
        steps.append(_OF_KIND[kind])
    # Rows that differ where a key is twice follow from that; to refresh them again would not help.
    doubled = {finding.relation for finding in (*twice, *(finding for finding, _ in seen))}
    follows = steps and differing and differing[0].relation in doubled
    if differing and not own and not follows and not _is_plain(differing[0], include_dir):
        return (*steps, *_anew(run, differing[0].relation))
    if kind == "RowsLost":
        words = "Load the missing rows. If they are meant to be gone"
        steps.append(run_with(run, "accept_shrink", words))
    elif not steps and (step := _otherwise(account, critical, advice)):
        steps.append(step)
        kind = STOPPED if step in (_LEFT_OUT, _BY_NOBODY) else kind
    if own and also and not lost:
        steps.append(
            Step(f"{also[0].task_id} lost the database. This says nothing about its data.")
        )
    return (*steps, *last_step(run, () if _needs_all(account, own) else tasks, kind))


def _anew(run: PastRun, relation: str) -> Iterator[Step]:
    """What to do where the rows of a layer are not those that its specification says."""
    words = "Do not train on these rows. Refresh every relation again"
    yield run_with(run, "refresh_unchanged", words)
    yield Step(
        f"If the rows differ again, the SQL of {relation} is wrong. Compare it with "
        f"include/sql/specifications/{relation}.sql, which says what the rows should be."
    )


def _otherwise(account: Account, critical: Sequence[Finding], advice: str) -> Step | None:
    """What to do where the kind of failure has no answer of its own."""
    if advice:
        return Step(advice)
    if critical:
        if all(finding.relation == _REFRESHES for finding in critical):
            return _LEFT_OUT
        return Step("Fix the rows or the SQL. What is broken is listed below.")
    if account.was_stopped:
        return _BY_NOBODY
    if account.failed:
        return Step("Read the task's log, linked below, and fix what it names.")
    return None


def _is_plain(finding: Finding, include_dir: Path) -> bool:
    """Whether it is about a plain view, which no refresh changes."""
    try:
        found = [r for r in read_store(include_dir).relations if str(r.name) == finding.relation]
    except StoreError:
        return False  # prepare reports a folder that cannot be read
    return any(relation.refresh is Refresh.NEVER for relation in found)


def _needs_all(account: Account, own: Cause | None) -> bool:
    """Whether to clear the task that failed would be too little."""
    # A suite that was checked before proofs are stamped counts no longer.
    changed = "ProofsChanged" in (account.kind, *(failed.cause.kind for failed in account.failed))
    if changed or own is None:
        return changed
    # A guard also looks at what was refreshed before.
    return own.kind == _GUARDED or (_says_more(own) and "new run" in own.next_step)


def _says_more(own: Cause | None) -> bool:
    """Whether what is not ready says itself what to do, and `plan` would not show it."""
    step = own.next_step if own and own.kind == "NotReady" else ""
    return step != "" and "bin/feature-store plan" not in step


def _unreachable(account: Account, findings: Sequence[Finding]) -> Step:
    """What to say where the database gave no session, took it away, or had no room."""
    observed = [finding.observed for finding in findings if finding.outcome == "error"]
    short_of = next((text for text in observed if _SHORT_OF.search(text)), "")
    if short_of and all(map(_SHORT_OF.search, observed)):
        words = short_of.removesuffix(".")
        return Step(f"The database could not do it: {words}. This says nothing about the data.")
    refused = _REFUSED in (account.kind, *(failed.cause.kind for failed in account.failed)) or any(
        text.startswith(ConnectionRefused.BEGINS) for text in observed
    )
    said, now = (
        ("refused the connection", "takes one") if refused else ("did not answer", "answers")
    )
    return Step(
        f"The database {said}. This says nothing about the data. To see whether it {now} now:",
        "bin/feature-store status",
    )
