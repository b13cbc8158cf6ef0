"""A layer that has the very rows that were judged before is not fingerprinted again.

Five phones of one cohort are listed on 1 March, one of them is sold on 5 March.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from datetime import date

import pytest

from feature_store.validation.history.acceptance import accept_history
from feature_store.validation.history.result import HistoryResult
from sandbox.breakages.harm import as_its_refresh_left_it
from tests.feature_store.validation.history.nights import TABLES, Nights, noon, phone, quiet

AS_OF = date(2026, 6, 30)
MARCH_1 = date(2026, 3, 1)
MARCH_2 = date(2026, 3, 2)
LAYERS = {"A", "AI", "D1", "D1 by cohort", "D2", "D3", "D4", "E", "F0", "F2", "device counts"}
_numbers = itertools.count(1)


@pytest.fixture
def nights(server, store_files, settings) -> Iterator[Nights]:
    """The store after its first night."""
    name = f"history_seen_{next(_numbers)}"
    running = Nights(server.create_database(name, "store"), store_files, settings)
    running.listings = [
        phone(1, "03-01", sold_date=noon("03-05"), sold_price=9000),
        *(phone(number, "03-01") for number in range(2, 6)),
    ]
    running.night(AS_OF)
    yield running
    running.connection.close()
    server.drop_database(name)


def judged(nights: Nights, caplog: pytest.LogCaptureFixture) -> tuple[HistoryResult, set[str]]:
    """Judge in another run, without a refresh: its verdict, and the layers that it left out."""
    caplog.clear()
    nights.runs += 1
    with caplog.at_level(logging.INFO, "feature_store.validation.history.judgement"):
        verdict = nights.judge(nights.lease(f"night {nights.runs}"), AS_OF)
    same = ": the same rows as at the last check."
    return verdict, {m.removesuffix(same) for m in caplog.messages if m.endswith(same)}


def test_a_night_without_a_refresh_looks_at_nothing_again(nights, caplog):
    kept = nights.kept()
    verdict, same = judged(nights, caplog)
    assert same == LAYERS
    assert quiet(verdict)
    now = nights.kept()
    assert {**now, "judgement": None} == {**kept, "judgement": None}
    assert len(now["judgement"]) == 2


def test_a_changed_row_is_seen_wherever_it_changed_a_row(nights, caplog):
    nights.rows('UPDATE "iPhone".iphone_listings SET price = 11000 RETURNING 1')
    unmoved = {"ml.tom_features_v1_mv", "ml.sold_durations_v1_mv", "ml.sold_prices_v1_mv"}
    all_others = {str(relation.name) for relation in nights.files.refreshed} - unmoved
    nights.refresh(nights.lease("night 1"), only=all_others)

    verdict, same = judged(nights, caplog)

    # A concurrent refresh does not touch rows that stay the same.
    assert same == {"A", "D1", "D3", "D4", "F0", "F2", "device counts"}
    assert [(review.layer, review.day) for review in verdict.reviews] == [("D2", MARCH_1)]


def write_anew(nights: Nights, relation: str) -> None:
    nights.connection.execute(f"REFRESH MATERIALIZED VIEW {relation}".encode())
    as_its_refresh_left_it(nights.connection, relation)


def test_of_rows_written_anew_only_changed_days_are_fingerprinted_again(nights, caplog):
    nights.listings.append(phone(6, "03-02"))
    nights.night(AS_OF)
    nights.listings[5]["price"] = 11500
    nights.load()
    write_anew(nights, "ml.tom_features_v1_mv")

    _, same = judged(nights, caplog)

    assert same == LAYERS - {"A"}
    assert "A: 1 of 2 days have the same rows as at the last check." in caplog.messages
    days = nights.rows(
        "SELECT day, fingerprint FROM feature_store_audit.history_finding "
        "WHERE layer = 'A' AND outcome IS NULL"
    )
    assert days == [(MARCH_2, nights.fingerprints(MARCH_2)["A", MARCH_2].digest)]


def test_a_baseline_that_somebody_wrote_into_is_held_to_rows_written_anew(nights, caplog):
    nights.connection.execute(
        "UPDATE feature_store_audit.history_day SET fingerprint = sha256('') WHERE layer = 'A'"
    )
    write_anew(nights, "ml.tom_features_v1_mv")

    judged(nights, caplog)

    assert "A: 0 of 1 days have the same rows as at the last check." in caplog.messages
    days = nights.rows("SELECT fingerprint FROM feature_store_audit.history_day WHERE layer = 'A'")
    assert days == [(nights.fingerprints(MARCH_1)["A", MARCH_1].digest,)]


def test_what_is_pending_stays_pending_and_what_is_accepted_stays_accepted(nights, caplog):
    nights.listings[1]["price"] = 12000
    assert [review.layer for review in nights.night(AS_OF).reviews] == ["A"]

    verdict, same = judged(nights, caplog)
    assert same == LAYERS
    assert [review.layer for review in verdict.reviews] == ["A"]

    accept_history(nights.connection, MARCH_1, "the seller's price was late", "anna")
    verdict, same = judged(nights, caplog)
    assert same == LAYERS
    assert quiet(verdict)


def test_a_baseline_that_somebody_wrote_into_is_held_to_the_rows_again(nights, caplog):
    nights.connection.execute(
        "UPDATE feature_store_audit.history_day SET row_count = 6 "
        "WHERE layer = 'E' AND day = '2026-03-01'"
    )
    verdict, same = judged(nights, caplog)
    assert same == LAYERS - {"E"}
    assert [(leak.layer, leak.day) for leak in verdict.leaks] == [("E", MARCH_1)]


def test_a_view_that_its_owner_lets_read_a_source_is_looked_at_again(nights, caplog):
    """Its owner may let an adopted view read any source, and a source changes without a refresh."""
    source = TABLES["listings"]
    (query,) = nights.rows("SELECT pg_get_viewdef('ml.tom_speed_cohort_v1'::regclass)")[0]
    nights.connection.execute(
        "CREATE OR REPLACE VIEW ml.tom_speed_cohort_v1 AS "
        f"SELECT * FROM ({query.rstrip(';')}) AS c "
        f"WHERE EXISTS (SELECT FROM {source} AS l WHERE l.listing_id = c.listing_id)".encode()
    )
    judged(nights, caplog)
    nights.connection.execute(f"DELETE FROM {source} WHERE listing_id = 1".encode())

    _, same = judged(nights, caplog)

    assert same == LAYERS - {"D1 by cohort"}
    moved = "SELECT row_count FROM feature_store_audit.history_day WHERE layer = 'D1 by cohort'"
    assert nights.rows(moved) == []
