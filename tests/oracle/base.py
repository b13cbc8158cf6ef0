"""A, B, C and D1-D3: the snapshot at t0, the labels, and the history that anchors are made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from tests.oracle.arithmetic import day_of, hours_between, median
from tests.oracle.rows import Listing, as_dict


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A: what a listing said at t0, its earliest edit."""

    listing_id: int
    edited_date: datetime | None
    generation: int | None
    model: str | None
    storage_gb: int | None
    price: int | None
    condition_score: Decimal | None
    battery_pct_fixed_ai: int | None
    damage_severity_ai: int | None
    damage_binary_ai: int | None
    seller_rating: Decimal | None
    review_count: int | None
    member_since_year: int | None
    location_city: str | None
    postal_code: str | None
    title: str | None
    description: str | None
    title_length: int
    description_length: int


@dataclass(frozen=True, kw_only=True)
class Label:
    """B: whether and when a listing was sold; hours are 0 where nothing is known."""

    listing_id: int
    edited_date: datetime | None
    sold_date: datetime | None
    last_seen: datetime | None
    sold_event: bool
    duration_hours: Decimal


@dataclass(frozen=True, kw_only=True)
class TrainingRow(Snapshot):
    """C: A with its label."""

    sold_event: bool
    duration_hours: Decimal


@dataclass(frozen=True, kw_only=True)
class SoldDuration:
    """D1: how long one sold *row* took; negative where the sale precedes the edit."""

    listing_id: int
    generation: int | None
    storage_gb: int | None
    sold_day: date
    duration_hours: Decimal


@dataclass(frozen=True, kw_only=True)
class AskMedian:
    """D2: the asking prices of one cohort (its parts may be NULL) on one day."""

    generation: int | None
    storage_gb: int | None
    ask_day: date
    ask_median_price: float | None
    ask_cnt: int


@dataclass(frozen=True, kw_only=True)
class SoldPrice:
    """D3: what one sold *row* fetched."""

    generation: int | None
    storage_gb: int
    sold_day: date
    sold_price: int


_TIE_BREAKERS = (
    "generation", "model", "storage_gb", "price", "condition_score", "battery_pct_fixed_ai",
    "damage_severity_ai", "damage_binary_ai", "seller_rating", "review_count",
    "member_since_year", "location_city", "postal_code", "title", "description",
)  # fmt: skip


def _unflagged(listings: Iterable[Listing]) -> list[Listing]:
    """Rows without any spam token: 'false' and '' are tokens, too."""
    return [row for row in listings if row.spam is None]


def _nulls_last(value: Any) -> tuple[bool, Any]:
    return (value is None, 0 if value is None else value)


def _earliest_first(row: Listing) -> tuple[Any, ...]:
    """Edit time, then A's own columns; text is compared by code points, as COLLATE "C" does.

    Sellers cut prices, so under one edit time the highest price comes first.
    """
    values = {name: getattr(row, name) for name in ("edited_date", *_TIE_BREAKERS)}
    if row.price is not None:
        values["price"] = -row.price
    return tuple(map(_nulls_last, values.values()))


def snapshots(listings: Sequence[Listing]) -> list[Snapshot]:
    """A, one row per listing_id."""
    rows = _unflagged(listings)
    result = []
    for listing_id in sorted({row.listing_id for row in rows}):
        first = min((r for r in rows if r.listing_id == listing_id), key=_earliest_first)
        result.append(
            Snapshot(
                listing_id=listing_id,
                edited_date=first.edited_date,
                **{name: getattr(first, name) for name in _TIE_BREAKERS},
                title_length=len(first.title or ""),
                description_length=len(first.description or ""),
            )
        )
    return result


def labels(base: Sequence[Snapshot], listings: Sequence[Listing]) -> list[Label]:
    """B, one row per row of A."""
    result = []
    for snapshot in base:
        own = [r for r in _unflagged(listings) if r.listing_id == snapshot.listing_id]
        sold = min((r.sold_date for r in own if r.sold_date is not None), default=None)
        seen = max((r.last_seen for r in own if r.last_seen is not None), default=None)
        hours = hours_between(seen if sold is None else sold, snapshot.edited_date)
        result.append(
            Label(
                listing_id=snapshot.listing_id,
                edited_date=snapshot.edited_date,
                sold_date=sold,
                last_seen=seen,
                sold_event=sold is not None,
                duration_hours=Decimal("0.0") if hours is None else max(Decimal("0.0"), hours),
            )
        )
    return result


def training_rows(base: Sequence[Snapshot], outcome: Sequence[Label]) -> list[TrainingRow]:
    """C, one row per row of A."""
    by_id = {label.listing_id: label for label in outcome}
    return [
        TrainingRow(
            **as_dict(row),
            sold_event=by_id[row.listing_id].sold_event,
            duration_hours=by_id[row.listing_id].duration_hours,
        )
        for row in base
    ]


def sold_durations(listings: Sequence[Listing], zone: tzinfo) -> list[SoldDuration]:
    """D1, one row per sold row that has an edit time; duplicates stay."""
    result = []
    for row in _unflagged(listings):
        sold_day = day_of(row.sold_date, zone)
        hours = hours_between(row.sold_date, row.edited_date)
        if sold_day is not None and hours is not None:
            result.append(
                SoldDuration(
                    listing_id=row.listing_id,
                    generation=row.generation,
                    storage_gb=row.storage_gb,
                    sold_day=sold_day,
                    duration_hours=hours,
                )
            )
    return result


def ask_medians(listings: Sequence[Listing], zone: tzinfo) -> list[AskMedian]:
    """D2, one row per generation, storage and day of edit; NULLs form groups of their own."""
    groups: dict[tuple[int | None, int | None, date], list[int | None]] = {}
    for row in _unflagged(listings):
        day = day_of(row.edited_date, zone)
        if day is not None:
            groups.setdefault((row.generation, row.storage_gb, day), []).append(row.price)
    return [
        AskMedian(
            generation=generation,
            storage_gb=storage,
            ask_day=day,
            ask_median_price=median(None if price is None else float(price) for price in prices),
            ask_cnt=len(prices),
        )
        for (generation, storage, day), prices in groups.items()
    ]


def sold_prices(listings: Sequence[Listing], zone: tzinfo) -> list[SoldPrice]:
    """D3, one row per sold row with a price and a storage; duplicates stay."""
    result = []
    for row in _unflagged(listings):
        sold_day = day_of(row.sold_date, zone)
        price = row.sold_price if row.real_sold_price is None else row.real_sold_price
        if sold_day is not None and row.storage_gb is not None and price is not None:
            result.append(
                SoldPrice(
                    generation=row.generation,
                    storage_gb=row.storage_gb,
                    sold_day=sold_day,
                    sold_price=price,
                )
            )
    return result
