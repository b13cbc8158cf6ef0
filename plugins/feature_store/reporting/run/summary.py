"""A run in one flat row, for programs that watch runs."""

from __future__ import annotations

from typing import Any

from feature_store.reporting.run.facts import RunRecord
from feature_store.reporting.run.headline import what_broke


def summary(record: RunRecord) -> dict[str, Any]:
    """A run's summary: which run, for which day, its verdict, and the counts."""
    run = record.run
    last = [history[-1] for history in record.refreshes]
    return {
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "run_type": run.run_type,
        "as_of_day": run.as_of_day,
        "prepared_at": run.prepared_at,
        "verdict": run.verdict,
        "verdict_at": run.verdict_at,
        "cause": what_broke(run.account, record.findings) if run.verdict == "failed" else None,
        "expectations": len(record.findings),
        "met": record.met,
        "broken": len(record.broken),
        "not_checked": len(record.errors),
        "warnings": len(record.warnings),
        "relations": len(last),
        "relations_of_run": sum(one.of_run for one in last),
        "relations_reused": sum(bool(one.reuse) for one in last),
        "leaks": len(record.leaks),
        "reviews": len(record.reviews),
    }
