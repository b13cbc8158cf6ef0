"""Retention: what is kept of past runs, for how long, and what is kept for ever.

A run's audit rows go when it is older than `Settings.keep_days`, its report's file after
`Settings.keep_report_days`. Whatever their age these stay: the latest refresh of each relation (by
which changes are detected), the certified refreshes and the runs that certified them, refreshes
that a run which is kept used again, the history's baseline, open findings, accepted ones with name
and reason, and the judgement of the newest day, from which the settling window is counted.

The database deletes, by a function of the owner's that spares the last 30 days whatever is asked
(``feature_store_audit.forget``). A night deletes about what a night writes; after the limit was
lowered, a bounded part each night.
"""

from __future__ import annotations

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
        findings: of history, that were closed without a person.
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
    """Delete what is past its time.

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
        for path in directory.iterdir()
        if _REPORT.fullmatch(path.name) and path.lstat().st_mtime < oldest
    ]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
