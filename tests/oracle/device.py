"""F0 and F1: what each clean listing says about its device, from its text and its images."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from tests.oracle.arithmetic import day_of
from tests.oracle.enriched import Enriched
from tests.oracle.rows import ImageRow

KNOWN_COLORS = (
    "graphite", "black_titanium", "silver", "space_black", "midnight", "sierra_blue", "blue",
    "natural_titanium", "gold", "deep_purple", "white_titanium", "starlight",
    "desert_titanium", "blue_titanium", "black", "alpine_green", "pink", "green", "deep_blue",
    "cosmic_orange",
)  # fmt: skip
MISSING, OTHER = "_MISSING", "_OTHER"
COLOR_BUCKETS = (*KNOWN_COLORS, MISSING, OTHER)
VARIANTS = ("base", "pro", "pro_max", "plus", "mini", "air", "other")


@dataclass(frozen=True, kw_only=True)
class DeviceListing:
    """F0: the four columns of E-clean that the device store starts from."""

    generation: int | None
    listing_id: int
    edited_date: datetime | None
    model: str | None


@dataclass(frozen=True, kw_only=True)
class DeviceMeta:
    """F1: one listing's segment (gen_key, model_variant), colour, and image evidence."""

    generation: int | None
    listing_id: int
    t0: datetime | None
    t0_day: date | None
    gen_key: int | None
    model_variant: str
    color_bucket: str
    image_count: int | None
    dev_has_images: int
    dev_color_is_missing: int
    dev_color_known: int
    dev_color_conflict: int
    dev_n_color_votes: int | None
    dev_color_vote_share: float | None
    dev_color_vote_margin: float | None
    dev_model_fixed_any: int
    dev_model_generation_mismatch: int
    dev_is_spam_below13: int


def device_listings(clean: Sequence[Enriched]) -> list[DeviceListing]:
    """F0, one row per row of E-clean."""
    return [
        DeviceListing(
            generation=row.generation,
            listing_id=row.listing_id,
            edited_date=row.edited_date,
            model=row.model,
        )
        for row in clean
    ]


def model_variant(model: str | None) -> str:
    """The variant that a model name tells. Blanks are squeezed, not trimmed: '   ' is 'base'."""
    name = "" if model is None else re.sub(r"\s+", " ", model, flags=re.ASCII).lower()
    if name == "":
        return "other"
    for text, variant in (("pro max", "pro_max"), ("pro", "pro"), ("plus", "plus")):
        if text in name:
            return variant
    return next((variant for variant in ("mini", "air") if variant in name), "base")


def color_bucket(color: str | None) -> str:
    """The colour if it is one of the known twenty (case matters), else missing or other."""
    if color is None or color in ("", MISSING):
        return MISSING
    return color if color in KNOWN_COLORS else OTHER


def device_meta(
    listings: Sequence[DeviceListing], images: Sequence[ImageRow], zone: tzinfo
) -> list[DeviceMeta]:
    """F1, one row per row of F0; a listing of NULL generation never finds its images."""
    by_key = {(image.generation, image.listing_id): image for image in images}
    result = []
    for row in listings:
        found = None
        if row.generation is not None:
            found = by_key.get((row.generation, row.listing_id))
        # Stands for "no image row": every column is NULL except the keys, which are not used.
        image = found or ImageRow(generation=0, listing_id=row.listing_id)
        color = color_bucket(image.body_color_key_main)
        share, margin = image.color_primary_vote_share, image.color_vote_margin_share
        effective = image.model_effective_generation
        result.append(
            DeviceMeta(
                generation=row.generation,
                listing_id=row.listing_id,
                t0=row.edited_date,
                t0_day=day_of(row.edited_date, zone),
                gen_key=row.generation if effective is None else effective,
                model_variant=model_variant(row.model),
                color_bucket=color,
                image_count=image.image_count,
                dev_has_images=int(image.image_count is not None and image.image_count > 0),
                dev_color_is_missing=int(color == MISSING),
                dev_color_known=int(image.color_known is True),
                dev_color_conflict=int(image.color_conflict is True),
                dev_n_color_votes=image.n_color_votes,
                dev_color_vote_share=None if share is None else float(share),
                dev_color_vote_margin=None if margin is None else float(margin),
                dev_model_fixed_any=int(image.model_fixed_any is True),
                dev_model_generation_mismatch=int(image.model_generation_mismatch is True),
                dev_is_spam_below13=int(image.is_spam_below13 is True),
            )
        )
    return result
