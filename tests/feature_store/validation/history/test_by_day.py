"""Findings by day, in words."""

from __future__ import annotations

from datetime import UTC, date, datetime

from feature_store.audit.lease import RunKey
from feature_store.validation.history.by_day import words_by_day
from feature_store.validation.history.findings import FindingKind, HistoryFinding
from feature_store.validation.history.row_changes import Difference

DAY = date(2026, 3, 10)
RUN = RunKey("dag", "run")


def _late(*entities: int | None) -> HistoryFinding:
    examples = tuple({"listing_id": n, "row": "came"} for n in entities)
    return HistoryFinding(
        finding_id=1,
        kind=FindingKind.REVIEW,
        layer="A",
        relation="ml.a",
        day=DAY,
        difference=Difference(len(entities), 0, 0, (), examples),
        reaches=(),
        details="",
        found_by=RUN,
        latest=RUN,
        found_at=datetime(2026, 3, 11, tzinfo=UTC),
        outcome=None,
        closed_at=None,
        closed_by=None,
        reason=None,
    )


def test_entities_are_told_in_order_and_one_without_a_key_comes_last():
    words = words_by_day([_late(12, None, 7)], "listing_id")
    assert words == {DAY: "3 listings came late, 7, 12, NULL"}
