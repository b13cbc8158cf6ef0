"""Findings by day, in words."""

from __future__ import annotations

from datetime import UTC, date, datetime

from feature_store.audit.lease import RunKey
from feature_store.validation.history.by_day import words_by_day
from feature_store.validation.history.findings import FindingKind, HistoryFinding
from feature_store.validation.history.row_changes import Difference

DAY = date(2026, 3, 10)
RUN = RunKey("dag", "run")


def _late(*entities: int | None, in_all: int = 0) -> HistoryFinding:
    examples = tuple({"listing_id": n, "row": "came"} for n in entities)
    came = in_all or len(entities)
    return HistoryFinding(
        finding_id=1,
        kind=FindingKind.REVIEW,
        layer="A",
        relation="ml.a",
        day=DAY,
        difference=Difference(came, 0, 0, (), examples),
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


def test_an_entity_of_two_rows_is_one_entity_and_rows_are_called_rows_where_only_they_are_counted():
    def words(*findings: HistoryFinding) -> str:
        return words_by_day(findings, "listing_id")[DAY]

    assert words(_late(7, 7)) == "1 listing came late, 7"
    assert words(_late(7, 8, in_all=30)) == "30 listings came late, 7, 8"
    assert words(_late(7, 7, 8, in_all=30)) == "30 rows of listings came late, 7, 8"
    # A layer that has one row an entity counts for one that has several.
    assert words(_late(7, 7, in_all=30), _late(7, 8, in_all=25)) == "25 listings came late, 7, 8"
