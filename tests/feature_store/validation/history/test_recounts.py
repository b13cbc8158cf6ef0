"""History: a source that repeats old days, a row for each scrape, is told from real changes.

The market of `test_judgement`: five phones on 1 March, of which one is sold on 5 March, one on
10 March, one on 20 June. The runs answer for 30 June.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date

import pytest

from feature_store.reporting.history_text import history_text
from feature_store.validation.history.acceptance import accept_history
from feature_store.validation.history.mailed_reviews import unmailed_reviews
from tests.feature_store.validation.history.nights import Nights, named, noon, phone, quiet

AS_OF = date(2026, 6, 30)
MARCH_1, MARCH_10 = date(2026, 3, 1), date(2026, 3, 10)
_numbers = itertools.count(1)


def _market() -> list[dict[str, object]]:
    return [
        phone(1, "03-01", sold_date=noon("03-05"), sold_price=9000),
        *(phone(number, "03-01") for number in range(2, 6)),
        phone(6, "03-10"),
        phone(7, "06-20"),
    ]


@pytest.fixture(scope="module")
def first_night(server, store_files, settings) -> str:
    """The database of the first night."""
    name = "recounts_market"
    first = Nights(server.create_database(name, "store"), store_files, settings)
    first.listings = _market()
    first.night(AS_OF)
    first.connection.close()
    return name


@pytest.fixture
def nights(server, first_night, store_files, settings) -> Iterator[Nights]:
    """The store after its first night, at which it got its baseline."""
    name = f"recounts_{next(_numbers)}"
    running = Nights(server.create_database(name, first_night), store_files, settings)
    running.listings = _market()
    running.runs = 1
    yield running
    running.connection.close()
    server.drop_database(name)


def _scrape(nights: Nights) -> None:
    """Add each listing once more, unchanged."""
    latest = {row["listing_id"]: row for row in nights.listings}
    nights.listings += [dict(row) for row in latest.values()]


def test_listings_that_are_scraped_again_every_night_ask_nobody(nights):
    """Each scrape adds a row under the same edited_date, sold listings too: only counts move."""
    for scrapes in (2, 3, 4):
        _scrape(nights)
        verdict = nights.night(AS_OF)
        assert quiet(verdict), named(verdict.reviews)
        counts = nights.rows("SELECT ask_cnt FROM ml.tom_features_v1_enriched_mv ORDER BY 1")
        assert counts == [(scrapes,)] * 2 + [(5 * scrapes,)] * 5
    told = history_text(nights.connection, "listing_id")
    assert "D1: 1 day from 2026-03-05 to 2026-03-05" in told
    assert "D2: 2 days from 2026-03-01 to 2026-03-10" in told, "20 June is young"
    nights.night(AS_OF)
    assert "recounted" not in history_text(nights.connection, "listing_id")


def test_a_median_that_a_known_listing_moves_is_reviewed(nights):
    """Listing 2 is scraped twelve times more at a lower price, under its first edited_date."""
    _scrape(nights)
    nights.listings += [phone(2, "03-01", price=9000) for _ in range(12)]
    verdict = nights.night(AS_OF)
    assert named(verdict.reviews) == {"D2 2026-03-01 +0 -0 ~1 ask_median_price ask_cnt"}


def test_an_ask_of_a_listing_that_the_day_did_not_know_is_reviewed(nights):
    """No median moves: months later the store hears that listing 2 was edited on 10 March."""
    nights.listings.append(phone(2, "03-10"))
    verdict = nights.night(AS_OF)
    assert named(verdict.reviews) == {"D2 2026-03-10 +0 -0 ~1 ask_cnt"}
    assert not verdict.leaks


def test_a_count_that_moves_more_than_counts_is_reviewed(nights):
    """The fifth ask of a day makes its median an anchor, where ptv_final was NULL before."""
    nights.listings += [phone(6, "03-10") for _ in range(4)]
    verdict = nights.night(AS_OF)
    (review,) = verdict.reviews
    assert named([review]) == {"D2 2026-03-10 +0 -0 ~1 ask_cnt"}
    assert "E of 2026-03-10 to 2026-03-10 (1 day moved)" in map(str, review.reaches)
    assert not verdict.leaks
    nights.listings.append(phone(6, "03-10"))
    nights.night(AS_OF)
    accept_history(nights.connection, MARCH_10, "scraped often", "ann")
    assert quiet(nights.night(AS_OF))


def test_a_review_is_not_mailed_again_because_its_day_is_recounted(nights):
    nights.find(2)["price"] = 10100
    nights.listings += [phone(2, "03-01", price=10100) for _ in range(12)]
    nights.night(AS_OF)
    nights.mail_what_is_pending()
    _scrape(nights)
    verdict = nights.night(AS_OF)
    assert {f.layer for f in verdict.reviews} == {"A", "D2"}
    assert unmailed_reviews(nights.connection).reviews == ()
    nights.listings += [phone(3, "03-01", price=9000) for _ in range(60)]
    nights.night(AS_OF)
    assert {f.layer for f in unmailed_reviews(nights.connection).reviews} == {"D2"}
    _scrape(nights)
    nights.night(AS_OF)
    assert {f.layer for f in unmailed_reviews(nights.connection).reviews} == {"D2"}, (
        "nobody knows yet"
    )
    accept_history(nights.connection, MARCH_1, "mended by the site", "ann")
    assert quiet(nights.night(AS_OF))


def test_a_sale_like_another_listings_is_reviewed(nights):
    """The price is the same, so D3 has two equal rows, of two listings."""
    nights.find(2).update(sold_date=noon("03-05"), sold_price=9000)
    reviews = named(nights.night(AS_OF).reviews)
    assert reviews == {"D1 2026-03-05 +1 -0 ~0", "D3 2026-03-05 +1 -0 ~0"}


def test_equal_sales_that_move_a_median_are_reviewed(nights):
    """There are two sales before 10 March, and the slower one is scraped once more."""
    nights.find(2).update(sold_date=noon("03-08"), sold_price=9500)
    nights.night(AS_OF)
    accept_history(nights.connection, date(2026, 3, 8), "sold late", "ann")
    assert quiet(nights.night(AS_OF))
    nights.listings.append(dict(nights.find(2)))
    assert named(nights.night(AS_OF).reviews) == {
        "D1 2026-03-08 +1 -0 ~0",
        "D3 2026-03-08 +1 -0 ~0",
    }
