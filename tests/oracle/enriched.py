"""E and E-clean: the snapshot with its anchors, and the same without spam listings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from tests.oracle.arithmetic import day_of, median
from tests.oracle.base import AskMedian, Snapshot, SoldDuration, SoldPrice
from tests.oracle.rows import Listing, as_dict

SPAM_TOKENS = (
    "t", "true", "1", "yes", "y", "spam", "wtb", "wanted",
    "duplicate-junk", "junk", "bundled", "below13",
)  # fmt: skip
_SOLD_ENOUGH = 10
_ASKED_ENOUGH = 5


@dataclass(frozen=True, kw_only=True)
class Enriched(Snapshot):
    """E: A with medians of its cohort: sales up to the day before t0, asks of t0's own day."""

    anchor_median_hours_14d: float | None
    anchor_14d_n: int
    ask_median_price: float | None
    ask_cnt: int | None
    sold_median_price_30d: float | None
    sold_cnt_30d: int
    ptv_sold_30d: float | None
    ptv_ask_day: float | None
    delta_vs_sold_median_30d: float | None
    delta_vs_ask_median_day: float | None
    ptv_final: float | None


def _same(left: int | None, right: int | None) -> bool:
    """SQL's ``=`` in a join: NULL equals nothing, not even NULL."""
    return left is not None and right is not None and left == right


def _within(sold_day: date, anchor: date | None, days: int) -> bool:
    """Sold on one of the ``days`` days before the anchor day, and never on the day itself."""
    return anchor is not None and anchor - timedelta(days=days) <= sold_day < anchor


def _ratio(price: int | None, reference: float | None) -> float | None:
    if price is None or reference is None or not reference > 0:
        return None
    return float(price) / reference


def _delta(price: int | None, reference: float | None) -> float | None:
    return None if price is None or reference is None else float(price) - reference


def _final_ratio(
    price: int | None, sold: float | None, sold_cnt: int, ask: float | None, ask_cnt: int | None
) -> float | None:
    if sold_cnt >= _SOLD_ENOUGH and sold is not None and sold > 0:
        return _ratio(price, sold)
    if ask_cnt is not None and ask_cnt >= _ASKED_ENOUGH and ask is not None and ask > 0:
        return _ratio(price, ask)
    return None


def enrich(
    base: Sequence[Snapshot],
    durations: Sequence[SoldDuration],
    asks: Sequence[AskMedian],
    prices: Sequence[SoldPrice],
    zone: tzinfo,
) -> list[Enriched]:
    """E, one row per row of A."""
    result = []
    for row in base:
        day = day_of(row.edited_date, zone)
        hours = [
            float(d.duration_hours)
            for d in durations
            if _same(d.generation, row.generation)
            and _same(d.storage_gb, row.storage_gb)
            and _within(d.sold_day, day, 14)
        ]
        fetched = [
            float(p.sold_price)
            for p in prices
            if _same(p.generation, row.generation)
            and _same(p.storage_gb, row.storage_gb)
            and _within(p.sold_day, day, 30)
        ]
        asked = [
            a
            for a in asks
            if _same(a.generation, row.generation)
            and _same(a.storage_gb, row.storage_gb)
            and a.ask_day == day
        ]
        ask = asked[0].ask_median_price if asked else None
        ask_cnt = asked[0].ask_cnt if asked else None
        sold = median(fetched)
        result.append(
            Enriched(
                **as_dict(row),
                anchor_median_hours_14d=median(hours),
                anchor_14d_n=len(hours),
                ask_median_price=ask,
                ask_cnt=ask_cnt,
                sold_median_price_30d=sold,
                sold_cnt_30d=len(fetched),
                ptv_sold_30d=_ratio(row.price, sold),
                ptv_ask_day=_ratio(row.price, ask),
                delta_vs_sold_median_30d=_delta(row.price, sold),
                delta_vs_ask_median_day=_delta(row.price, ask),
                ptv_final=_final_ratio(row.price, sold, len(fetched), ask, ask_cnt),
            )
        )
    return result


def without_spam(rows: Sequence[Enriched], listings: Sequence[Listing]) -> list[Enriched]:
    """E-clean: a listing goes if any of its rows, flagged or not, carries a spam token."""
    spam_ids = {
        row.listing_id
        for row in listings
        if row.spam is not None and row.spam.lower().strip(" ") in SPAM_TOKENS
    }
    return [row for row in rows if row.listing_id not in spam_ids]
