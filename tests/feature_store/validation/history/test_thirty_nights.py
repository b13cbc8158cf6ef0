"""Thirty nights of ordinary life send no mail; anything odd does.

A small market: four phones a day, most sold within weeks. What is ordinary: a sale is reported up
to a week late, a phone is edited, scraped again, or flagged within ten days, its images come a
day late, and the AI reads any phone again, however old.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from feature_store.validation.history.acceptance import accept_history
from feature_store.validation.history.findings import FindingKind
from tests.feature_store.validation.history.nights import Nights, Row, named, quiet

FIRST = date(2026, 3, 1)
BEFORE, NIGHTS = 70, 30
_COHORTS = ((15, 128), (15, 256), (16, 128))
_COLORS = ("black", "blue", "pink")


class Market:
    """What happens, drawn once, and what the sources show of it on a given morning."""

    def __init__(self, nights: Nights) -> None:
        self._nights = nights
        self._draw = random.Random(7)
        self._listed: dict[int, date] = {}
        self._sales: list[tuple[date, Row, datetime]] = []  # reported on, of which row, sold at

    def live(self, day: date) -> None:
        """Let a day pass, as the sources show it on the next morning."""
        n, draw = self._nights, self._draw
        for _ in range(4):
            self._list(day)
        for reported, row, sold in self._sales:
            if reported == day:
                row.update(sold_date=sold, sold_price=row["price"] - 500)
        for row in list(n.listings):
            age = (day - self._listed[row["listing_id"]]).days
            if age <= 10 and draw.random() < 0.01:
                row["spam"] = "spam"
            if age <= 10 and draw.random() < 0.03:
                row["battery_pct_fixed_ai"] = draw.randint(70, 100)
            if draw.random() < 0.01:
                edit = {**row, "edited_date": _at(day, 15), "price": row["price"] - 100}
                n.listings.append({k: v for k, v in edit.items() if not k.startswith("sold")})
        for row in n.ai:
            if draw.random() < 0.02:
                row["urgency_ai"] = draw.random()

    def _list(self, day: date) -> None:
        n, draw = self._nights, self._draw
        generation, storage = draw.choice(_COHORTS)
        row: Row = {
            "listing_id": len(n.ai) + 1,
            "generation": generation,
            "storage_gb": storage,
            "model": draw.choice(("iPhone", "iPhone Pro")),
            "price": draw.choice((8000, 9000, 10000)),
            "edited_date": _at(day, draw.randrange(24)),
        }
        n.listings.append(row)
        self._listed[row["listing_id"]] = day
        n.ai.append({"listing_id": row["listing_id"], "urgency_ai": draw.random()})
        key = {name: row[name] for name in ("generation", "listing_id")}
        n.images.append({**key, "image_count": 3, "body_color_key_main": draw.choice(_COLORS)})
        if draw.random() < 0.7:
            sold = row["edited_date"] + timedelta(hours=draw.randint(2, 600))
            reported = sold.date() + timedelta(days=draw.randint(0, 7))
            self._sales.append((max(reported, day), row, sold))


def _at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def lived(server, store_files, settings) -> Iterator[tuple[Nights, list, date]]:
    """The nights, their verdicts, and the day after the last of them."""
    nights = Nights(server.create_database("thirty_nights", "store"), store_files, settings)
    market = Market(nights)
    verdicts = []
    for number in range(BEFORE + NIGHTS):
        day = FIRST + timedelta(days=number)
        market.live(day)
        if number >= BEFORE - 1:
            verdicts.append(nights.night(day + timedelta(days=1)))
    yield nights, verdicts, FIRST + timedelta(days=BEFORE + NIGHTS)
    nights.connection.close()


def test_thirty_nights_of_ordinary_life_send_no_mail(lived):
    nights, verdicts, _ = lived
    assert len(verdicts) == 1 + NIGHTS
    assert [named(v.reviews) | named(v.leaks) for v in verdicts if not quiet(v)] == []
    found = "SELECT count(DISTINCT run_id) FROM feature_store_audit.history_finding WHERE kind = %s"
    assert nights.rows(found, FindingKind.EXCEPTION.value)[0][0] > 20, (
        "the AI reads again nearly every night"
    )
    late = nights.rows(
        "SELECT count(*) FROM feature_store_audit.history_day AS h "
        "INNER JOIN feature_store_audit.history_judgement AS j USING (dag_id, run_id) "
        "WHERE h.layer = 'D1' AND h.run_id <> 'night 1' AND j.as_of_day - h.day > 5"
    )
    assert late[0][0] > 10, "sales are reported days late nearly every night"


def _of_age(nights: Nights, today: date, days: int, sold: bool) -> Row:
    """The first phone that is at least so many days old and was never edited or flagged."""
    ids = [row["listing_id"] for row in nights.listings]
    return next(
        row
        for row in reversed(nights.listings)
        if (today - row["edited_date"].date()).days >= days
        and ids.count(row["listing_id"]) == 1
        and "spam" not in row
        and ("sold_date" in row) is sold
    )


def test_odd_things_are_reviewed_and_nothing_leaks(lived):
    """A sale of sixty days ago, a flag on a phone of ninety days ago, an old price that changes."""
    nights, _, today = lived
    row = _of_age(nights, today, 70, sold=False)
    sold = today - timedelta(days=60)
    row.update(sold_date=_at(sold, 12), sold_price=7000)
    verdict = nights.night(today)
    assert named(verdict.reviews) == {f"D1 {sold} +1 -0 ~0", f"D3 {sold} +1 -0 ~0"}
    assert verdict.leaks == ()
    accept_history(nights.connection, sold, "reported late", "ann")

    row = _of_age(nights, today, 90, sold=False)
    flagged = row["edited_date"].date()
    row["spam"] = "spam"
    verdict = nights.night(today)
    assert {f"A {flagged} +0 -1 ~0", f"F0 {flagged} +0 -1 ~0"} <= named(verdict.reviews)
    assert {(f.layer, f.day) for f in verdict.reviews} == {
        (layer, flagged) for layer in ("A", "D2", "F0", "device counts")
    }
    assert verdict.leaks == ()
    accept_history(nights.connection, flagged, "a fraud, found late", "ann")

    row = _of_age(nights, today, 50, sold=True)
    listed = row["edited_date"].date()
    row["price"] += 1
    verdict = nights.night(today)
    assert f"A {listed} +0 -0 ~1 price" in named(verdict.reviews)
    assert {f.layer for f in verdict.reviews} <= {"A", "D2"}
    assert {f.day for f in verdict.reviews} == {listed}
    assert verdict.leaks == ()
    accept_history(nights.connection, listed, "mended by the site", "ann")
    assert quiet(nights.night(today))
