"""What to do after a run failed, chosen by the kind of failure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from psycopg import sql

from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.expectations import KEY
from feature_store.declarations.source_tables import Source
from feature_store.declarations.store_definition import read_store
from feature_store.declarations.suites import Check, suite_of
from feature_store.errors import ConnectionRefused, StoreError
from feature_store.relation_name import Name
from feature_store.reporting.run.account import Account, Cause
from feature_store.reporting.run.facts import Finding
from feature_store.reporting.run.run_again import (
    STOPPED,
    PastRun,
    last_step,
    relation_of,
    run_with,
    to_clear,
)
from feature_store.reporting.run.step import Step
from feature_store.text_format import plural

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
_DUPLICATE = {"CardinalityViolation", "UniqueViolation"}
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
    twice = _repeated(critical, include_dir)
    seen = _seen_twice(critical, include_dir)
    steps = []
    # If tasks failed, the verdict says only that. What to clear comes last.
    silent = account.failed or account.kind == "NotReady"  # it already says: trigger a new run
    advice = own.next_step if own else "" if silent else account.next_step
    lost = kind in _UNREACHABLE or any(t.cause.kind in _UNREACHABLE for t in account.failed)
    # Where a suite found broken rows, they come first, whatever kept another suite from its work.
    if lost and (own or not critical):
        steps += [Step(advice)] if advice else []
        steps.append(_unreachable(account, findings))
    elif kind in _DUPLICATE or twice or seen:
        rows = {step.command: step for step in _both_rows(tasks, twice, include_dir)}
        steps += (rows | {step.command: step for _, step in seen}).values()
    elif kind in _OF_KIND and (own or kind != "NotReady") and not _says_more(own):
        steps.append(_OF_KIND[kind])
    # Rows that differ where a key is twice follow from that; to refresh them again would not help.
    doubled = {finding.relation for finding in (*twice, *(finding for finding, _ in seen))}
    follows = steps and differing and differing[0].relation in doubled
    if differing and not own and not follows:
        relation = differing[0].relation
        return (
            *steps,
            run_with(
                run, "refresh_unchanged", "Do not train on these rows. Refresh every relation again"
            ),
            Step(
                f"If the rows differ again, the SQL of {relation} is wrong. Compare it with "
                f"include/sql/specifications/{relation}.sql, which says what the rows should be."
            ),
        )
    if kind == "RowsLost":
        words = "Load the missing rows. If they are meant to be gone"
        steps.append(run_with(run, "accept_shrink", words))
    elif not steps and advice:
        steps.append(Step(advice))
    elif not steps and critical:
        steps.append(Step("Fix the rows or the SQL. What is broken is listed below."))
    elif not steps and account.was_stopped:
        kind = STOPPED
        steps.append(
            Step(
                "If nobody stopped it, the log of the task that ran last, or of assert_contract, "
                "says where it ended."
            )
        )
    elif not steps and account.failed:
        steps.append(Step("Read the task's log, linked below, and fix what it names."))
    return (*steps, *last_step(run, () if _needs_all(account, own) else tasks, kind))


def _needs_all(account: Account, own: Cause | None) -> bool:
    """Whether to clear the task that failed would be too little."""
    # A suite that was checked before proofs are stamped counts no longer.
    changed = "ProofsChanged" in (account.kind, *(failed.cause.kind for failed in account.failed))
    return changed or (own is not None and _says_more(own) and "new run" in own.next_step)


def _says_more(own: Cause | None) -> bool:
    """Whether what is not ready says itself what to do, and `plan` would not show it."""
    step = own.next_step if own and own.kind == "NotReady" else ""
    return step != "" and "bin/feature-store" not in step


def _unreachable(account: Account, findings: Sequence[Finding]) -> Step:
    """What to say where the database gave no session, or took it away."""
    refused = _REFUSED in (account.kind, *(failed.cause.kind for failed in account.failed)) or any(
        finding.observed.startswith(ConnectionRefused.BEGINS) for finding in findings
    )
    said, now = (
        ("refused the connection", "takes one") if refused else ("did not answer", "answers")
    )
    return Step(
        f"The database {said}. This says nothing about the data. To see whether it {now} now:",
        "bin/feature-store status",
    )


def _both_rows(tasks: Sequence[str], twice: Sequence[Finding], include_dir: Path) -> Iterator[Step]:
    """Queries for rows that share a key, one for each source of the relation with that key."""
    try:
        store = read_store(include_dir)
    except StoreError:
        return  # prepare reports a folder that cannot be read
    names = {finding.relation for finding in twice}
    refreshed = {relation_of(task) for task in tasks}
    # What base layers read has a row for each edit, so a repeated key is normal there.
    edits = {s for r in store.refreshed if r.refresh is Refresh.BLOCKING for s in r.sources}
    for relation in store.refreshed:
        if str(relation.name) not in names and relation.name.relation not in refreshed:
            continue
        keys = [tuple(sorted(key)) for key in relation.file.unique_indexes.values()]
        mine = [f for f in twice if f.relation == str(relation.name) and f.sample]
        keys += [tuple(sorted(f.sample[0])) for f in mine]
        for source in store.sources:
            for key in keys if source.name in relation.sources else ():
                if source.name not in edits and source.columns.keys() >= set(key):
                    words = f"To see the rows of {source.name} that share a key, if there are any:"
                    yield Step(words, _twice(source.name, key))


def _seen_twice(critical: Sequence[Finding], include_dir: Path) -> list[tuple[Finding, Step]]:
    """What the store's own queries say of keys that a source has twice: the rows to delete.

    Such a query is in the suite that checks keys, says which source it is about, and counts.
    """
    try:
        keys_in = suite_of(include_dir, Check.KEYS)
        found = [f for f in critical if f.suite == keys_in and f.compared is None and f.sample]
        sources = read_store(include_dir).sources if found else ()
    except StoreError:
        return []  # prepare reports a folder that cannot be read
    return [
        (finding, step)
        for finding in found
        for source in sources
        if _names(finding.expected, source)
        for step in _to_delete(finding, source)
    ]


def _names(expected: str, source: Source) -> bool:
    """Whether a sentence names a source, and not one whose name begins or ends alike."""
    name = re.escape(str(source.name))
    return re.search(rf"(?<![\w.]){name}(?!\.?\w)", expected.replace('"', "")) is not None


def _to_delete(finding: Finding, source: Source) -> Iterator[Step]:
    row = finding.sample[0]
    # Sorted, as the record keeps no order of columns.
    key = sorted(column for column in row if column in source.columns)
    counts = [value for column, value in row.items() if column not in source.columns]
    if not key or [isinstance(n, int) and n > 1 for n in counts] != [True]:
        return
    named = ", ".join(f"{column} {row[column]}" for column in key)
    others = (finding.breaching or len(finding.sample)) - 1
    more = f", and so on for {plural(others, 'more key')}" if others else ""
    words = f"{source.name} has {counts[0]} rows for {named}{more}. Delete all but one:"
    yield Step(words, _twice(source.name, key))


def _repeated(critical: Sequence[Finding], include_dir: Path) -> list[Finding]:
    """Findings of a key that is there twice. The same suite may also check other things."""
    try:
        keys_in = suite_of(include_dir, Check.KEYS)
    except StoreError:
        return []  # prepare reports a folder that cannot be read
    return [
        finding
        for finding in critical
        if finding.suite == keys_in and finding.expectation.startswith(KEY)
    ]


def _twice(source: Name, key: Sequence[str]) -> str:
    columns = sql.SQL(", ").join(map(sql.Identifier, key))
    return (
        sql.SQL(
            "SELECT * FROM {0} WHERE ({1}) IN (SELECT {1} FROM {0} GROUP BY {1} "
            "HAVING count(*) > 1) ORDER BY {1};"
        )
        .format(source.identifier, columns)
        .as_string()
    )
