"""Data at the edges of every rule, for mistakes that the ordinary odd rows do not show."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tests.oracle.odd_cases import SPAM, Profile, generate
from tests.oracle.rows import Listing, Sources

_STORAGES = (64, 119, 120, 249, 250, 499, 500, 899, 900, 1024)
_EDGES = Profile(
    name="edges",
    listings=900,
    days=tuple(range(0, 128, 4)),
    cohorts=(
        *((15, storage) for storage in _STORAGES),
        *((15, 128),) * 12,
        *((11, 128),) * 6,
        *((12, 128),) * 4,
        (None, 128),
        (15, None),
    ),
    prices=(
        4680,
        4730,
        4780,
        4900,
        4930,
        4960,
        5000,
        5100,
        8000,
        10000,
        12000,
        19900,
        20000,
        24900,
        25000,
        25100,
    ),
    sold_prices=(None, 9000, 10000, 10000, 11000),
    sold_after_hours=(1.0, 24.0, 24.5, 96.0, 168.0, 168.5, 336.0, 504.0, 504.5, 720.0, 2160.0),
    sold_share=0.9,
    oddity=0.02,
    near_midnight=0.05,
)
_OTHER_VALUES: dict[str, tuple[Any, ...]] = {
    "generation": (None, 14, 16),
    "model": (None, "iPhone 14", "iPhone 15 plus"),
    "storage_gb": (None, 64, 1024),
    "price": (None, 0, 30000),
    "condition_score": (None, Decimal("0.100"), Decimal("1.000")),
    "battery_pct_fixed_ai": (None, 1, 100),
    "damage_severity_ai": (None, 0, 3),
    "damage_binary_ai": (None, 0, 1),
    "seller_rating": (None, Decimal("0.10"), Decimal("10.00")),
    "review_count": (None, 0, 999),
    "member_since_year": (None, 2001, 2030),
    "location_city": (None, "A", "a", "z"),
    "postal_code": (None, "0001", "9999"),
    "title": (None, "A", "a", "zz"),
    "description": (None, "A", "a", "zz"),
}
_ONE_PRICE: dict[int | None, int] = {11: 0, 12: 1}
"""Generations of which every listing has this price: 0 divides nothing, 1 is just above it."""


_TWO_VARIANTS = ("pro max plus", "Pro Plus", "pro mini", "plus air", "mini air", "air pro max")


def edges(seed: int) -> Sources:
    """The data of a seed: the same every time."""
    drawn = random.Random(f"edges/{seed}")
    sources = generate(_EDGES, seed)
    listings = [row for first in sources.listings for row in _rows(drawn, first)]
    return replace(sources, listings=tuple(listings))


def _rows(drawn: random.Random, row: Listing) -> list[Listing]:
    if row.generation in _ONE_PRICE:
        price = _ONE_PRICE[row.generation]
        sold = price if row.sold_date else None
        row = replace(row, price=price, sold_price=sold, real_sold_price=sold)
    elif drawn.random() < 0.1:
        row = replace(row, sold_date=None, sold_price=9000)
    elif drawn.random() < 0.1:
        row = replace(row, sold_price=9500, real_sold_price=10500)
    if drawn.random() < 0.1:
        row = replace(row, model=drawn.choice(_TWO_VARIANTS))
    if drawn.random() < 0.1 and row.edited_date:
        row = replace(row, last_seen=row.edited_date)
    rows = [row]
    if drawn.random() < 0.4:
        # Another row of the listing, which differs only in a column that decides a tie.
        column, values = drawn.choice(list(_OTHER_VALUES.items()))
        rows.append(replace(row, **{column: drawn.choice(values)}))
    if drawn.random() < 0.2 and row.edited_date:
        later = row.edited_date + timedelta(days=drawn.choice((1, 5, 30)))
        rows.append(replace(row, edited_date=later, price=drawn.choice((None, 0, 7000))))
    if drawn.random() < 0.1:
        # Another row of the listing is flagged, or has a word that is no flag.
        rows.append(replace(row, spam=drawn.choice((*SPAM, "_spam", "spam_"))))
    return rows
