"""Retention: what is kept of past runs, for how long, and what is kept forever.

A run's audit rows are deleted when it is older than `Settings.keep_days`, its report after
`Settings.keep_report_days`. These stay, whatever their age: the latest refresh of each relation
(changes are detected by it), the certified refreshes and the runs that certified them, refreshes
that a kept run reused, the history's baseline, open findings, accepted ones with name and reason,
and the history check of the newest day, from which the settling window is counted.

A function of the owner's deletes (``feature_store_audit.forget``); it never deletes the last 30
days. A night deletes about as much as a night writes. After the limit was lowered, each night
deletes a limited part.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from pathlib import Path

from feature_store.connection import Connection, one_row
from feature_store.settings import Settings

_REPORT = re.compile(r"report-.*-[0-9a-f]{10}\.html|\.[0-9a-f]{16}\.tmp")
_DAY = 86_400


@dataclass(frozen=True)
class Forgotten:
    """What retention deleted.

    Attributes:
        runs: whose audit rows are gone.
        refreshes: records of superseded refreshes.
        findings: findings of history that were closed without a person.
        reports: files.
    """

    runs: int
    refreshes: int
    findings: int
    reports: int

    def __str__(self) -> str:
        if not any((self.runs, self.refreshes, self.findings, self.reports)):
            return "nothing was old enough to be deleted"
        return (
            f"deleted the audit rows of {self.runs} runs and {self.refreshes} refreshes, "
            f"{self.findings} findings, {self.reports} report files"
        )


def forget(connection: Connection, settings: Settings) -> Forgotten:
    """Delete what is past retention.

    Raises:
        psycopg.Error: the audit rows could not be deleted; none of them were.
        OSError: a report could not be deleted.
    """
    runs, refreshes, findings = one_row(
        connection,
        "SELECT runs, refreshes, findings FROM feature_store_audit.forget(%s)",
        (settings.keep_days or None,),
    )
    reports = 0
    if settings.keep_report_days:
        reports = _forget_reports(settings.report_dir, settings.keep_report_days)
    return Forgotten(runs, refreshes, findings, reports)


def _forget_reports(directory: Path, days: int) -> int:
    if not directory.is_dir():
        return 0
    oldest = time.time() - days * _DAY
    old = [
        path
        for path in list(directory.iterdir())
        if _REPORT.fullmatch(path.name) and _written(path) < oldest
    ]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def _written(path: Path) -> float:
    """When a file was last written; never, if another run has just renamed or deleted it."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return math.inf
