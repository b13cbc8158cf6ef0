"""The source rows: what the oracle reads, and what a test loads into PostgreSQL."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One row of the listings table; a listing_id may have several (edits, re-scrapes)."""

    listing_id: int
    generation: int | None = None
    model: str | None = None
    storage_gb: int | None = None
    price: int | None = None
    condition_score: Decimal | None = None
    battery_pct_fixed_ai: int | None = None
    damage_severity_ai: int | None = None
    damage_binary_ai: int | None = None
    seller_rating: Decimal | None = None
    review_count: int | None = None
    member_since_year: int | None = None
    location_city: str | None = None
    postal_code: str | None = None
    title: str | None = None
    description: str | None = None
    spam: str | None = None
    edited_date: datetime | None = None
    last_seen: datetime | None = None
    sold_date: datetime | None = None
    sold_price: int | None = None
    real_sold_price: int | None = None


@dataclass(frozen=True, kw_only=True)
class AiRow:
    """One row of the AI enrichment table: at most one per listing_id."""

    listing_id: int
    sale_mode: str | None = None
    owner_type: str | None = None
    can_ship: bool | None = None
    pickup_only: bool | None = None
    vat_invoice: bool | None = None
    first_owner: bool | None = None
    used_with_case_claim: bool | None = None
    repair_provider: str | None = None
    negotiability_ai: float | None = None
    urgency_ai: float | None = None
    lqs_textonly: float | None = None
    opening_offer_nok: int | None = None
    storage_gb_fixed_ai: int | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """One row of the image features: at most one per (generation, listing_id), both not NULL."""

    generation: int
    listing_id: int
    image_count: int | None = None
    body_color_key_main: str | None = None
    color_known: bool | None = None
    color_conflict: bool | None = None
    n_color_votes: int | None = None
    color_primary_vote_share: Decimal | None = None
    color_vote_margin_share: Decimal | None = None
    model_effective_generation: int | None = None
    model_fixed_any: bool | None = None
    model_generation_mismatch: bool | None = None
    is_spam_below13: bool | None = None


@dataclass(frozen=True)
class Sources:
    """The three source tables."""

    listings: tuple[Listing, ...] = ()
    ai: tuple[AiRow, ...] = ()
    images: tuple[ImageRow, ...] = ()

    def as_tables(self) -> dict[str, list[dict[str, Any]]]:
        """The rows as keyword arguments of the test store's ``load``."""
        return {
            "listings": [as_dict(row) for row in self.listings],
            "ai": [as_dict(row) for row in self.ai],
            "images": [as_dict(row) for row in self.images],
        }


def as_dict(row: Any) -> dict[str, Any]:
    """A (result or source) row as a dict, its keys in column order."""
    if isinstance(row, Mapping):
        return dict(row)
    return {field.name: getattr(row, field.name) for field in fields(row)}
