"""Small seeded data sets in which every odd case of the sources happens often.

A profile decides what a set is rich in; ``generate`` is a pure function of profile and seed.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.oracle.device import KNOWN_COLORS
from tests.oracle.rows import AiRow, ImageRow, Listing, Sources

_START = datetime(2026, 1, 1, tzinfo=UTC)
_NAN, _INFINITY = float("nan"), float("inf")

SPAM = (
    "t", "TRUE", " Yes ", "1", "y", "spam", "WTB", "wanted  ", "Duplicate-Junk", "junk",
    " bundled", "below13",
)  # fmt: skip
NOT_SPAM = ("false", "no", "", "f", "0", "n", "maybe", "spam!", "below 13", "\tspam", "   ")
MODELS = (
    "iPhone 15 PRO  MAX", "iPhone 15 Pro", "iPhone 14 plus", "iPhone 13 mini", "iPhone Air",
    "iPhone 15", "iphone\tpro\nmax", "iphone pro   max", "promax", "", "   ", None, "Airpro",
    "PLUS mini", "iPhone 16 Pro\u00e9",
)  # fmt: skip
COLORS = (*KNOWN_COLORS, "Blue", "BLACK", " blue", "", "   ", None, "_MISSING", "_OTHER", "mauve")
TEXTS = ("Selger", "selger", "Åpen æske", "apen", "", None, "Så god som ny 📱", "B", "a", "_")
_FRACTIONS = (None, Decimal(0), Decimal("0.33333"), Decimal("0.66667"), Decimal(1))
_SCORES = (None, 0.0, -0.0, 0.3, 1.0, 1.7, -0.5, _NAN, _INFINITY, -_INFINITY, 1e-300)


@dataclass(frozen=True)
class Profile:
    """What a data set is made of; days are offsets from the first one."""

    name: str
    listings: int
    days: tuple[int, ...]
    cohorts: tuple[tuple[int | None, int | None], ...]
    prices: tuple[int | None, ...]
    sold_prices: tuple[int | None, ...]
    sold_after_hours: tuple[float, ...]
    sold_share: float = 0.5
    oddity: float = 0.25
    near_midnight: float = 0.3


_ODD_COHORTS = (
    (15, 128), (15, 128), (15, 256), (14, 64), (13, None), (None, 128), (None, None), (12, 512),
    (16, 120), (17, 900), (17, 1000), (16, 119), (16, 499), (18, 1024),
)  # fmt: skip
_ODD_HOURS = (-30.0, -0.5, 0.0, 0.25, 23.999, 24.0, 24.001, 100 / 3, 168.0, 168.1, 504.0, 504.1)
_ROUND_PRICES = (
    4999, 5000, 7999, 8000, 8999, 9000, 9999, 10000, 11000, 11999, 12000, 13999, 14000, 14001,
    24999, 25000, 25001,
)  # fmt: skip

PROFILES = (
    Profile(
        name="odd",
        listings=160,
        days=(0, 1, 2, 14, 15, 16, 30, 31, 32),
        cohorts=_ODD_COHORTS,
        prices=(None, 0, 1, 4500, 7000, 9999, 12345),
        sold_prices=(None, None, 0, 1, 5000, 8000, 9000),
        sold_after_hours=_ODD_HOURS,
        oddity=0.5,
    ),
    Profile(
        name="full cohorts",
        listings=220,
        days=(0, 3, 5, 8, 12, 17, 22, 35, 91),
        cohorts=((15, 128), (15, 120), (14, 256)),
        prices=(6000, 7000, 7500, 8000, 8200, 9100, 9500, 10400, 12000, 15000),
        sold_prices=(None, 7000, 7400, 8000, 8500, 8600, 9000),
        sold_after_hours=(2.0, 20.0, 24.0, 70.5, 168.0, 200.0, 400.0, 504.0, 700.0),
        sold_share=0.8,
        oddity=0.12,
    ),
    Profile(
        name="bucket edges",
        listings=240,
        days=(0, 30, 60, 88, 89, 90, 91),
        cohorts=((15, 128), (15, 512)),
        prices=_ROUND_PRICES,
        sold_prices=(10000,),
        sold_after_hours=(12.0, 24.0, 24.01, 168.0, 168.01, 504.0, 504.01, 48.0),
        sold_share=0.9,
        oddity=0.04,
    ),
    Profile(
        name="around midnight",
        listings=150,
        days=(0, 1, 2, 3, 4, 5),
        cohorts=((15, 128), (16, 256), (None, 128)),
        prices=(7000, 8000, 9000, 10000),
        sold_prices=(6500, 7500, 8500, None),
        sold_after_hours=(-1.5, 0.0, 0.5, 1.0, 23.0, 24.0, 25.0, 49.0),
        sold_share=0.7,
        oddity=0.3,
        near_midnight=1.0,
    ),
)


class _Maker:
    """Draws the rows of one data set; all randomness comes from one seeded generator."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self._profile = profile
        self._random = random.Random(f"{profile.name}/{seed}")

    def _happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def _odd(self) -> bool:
        return self._happens(self._profile.oddity)

    def _pick(self, values: Sequence[Any]) -> Any:
        return self._random.choice(values)

    def _instant(self) -> datetime:
        day = _START + timedelta(days=self._pick(self._profile.days))
        if self._happens(self._profile.near_midnight):
            return day + timedelta(minutes=self._random.randint(-60, 60))
        if self._odd():
            return day + timedelta(microseconds=self._random.randrange(86_400_000_000))
        return day + timedelta(hours=self._pick((0, 6, 6, 12, 23)))

    def _sale(self, row: Listing) -> Listing:
        start = row.edited_date or self._instant()
        hours = self._pick(self._profile.sold_after_hours)
        real = self._pick(self._profile.sold_prices) if self._happens(0.5) else None
        return replace(
            row,
            sold_date=start + timedelta(hours=hours),
            sold_price=self._pick(self._profile.sold_prices),
            real_sold_price=0 if self._happens(self._profile.oddity / 3) else real,
        )

    def _first(self, listing_id: int) -> Listing:
        generation, storage = self._pick(self._profile.cohorts)
        edited = None if self._happens(self._profile.oddity / 4) else self._instant()
        row = Listing(
            listing_id=listing_id,
            generation=generation,
            model=self._pick(MODELS),
            storage_gb=storage,
            price=self._pick(self._profile.prices),
            condition_score=self._pick((None, Decimal("0.875"), Decimal("1.000"))),
            battery_pct_fixed_ai=self._pick((None, 80, 100)),
            damage_severity_ai=self._pick((None, 0, 3)),
            damage_binary_ai=self._pick((None, 0, 1)),
            seller_rating=self._pick((None, Decimal("9.70"), Decimal("10.00"))),
            review_count=self._pick((None, 0, 41)),
            member_since_year=self._pick((None, 2009, 2024)),
            location_city=self._pick(TEXTS),
            postal_code=self._pick((None, "0150", "9010")),
            title=self._pick(TEXTS),
            description=self._pick(TEXTS),
            edited_date=edited,
            last_seen=None if self._odd() else (edited or self._instant()) + timedelta(days=3),
        )
        return self._sale(row) if self._happens(self._profile.sold_share) else row

    def _again(self, row: Listing) -> Listing:
        """The listing seen once more: unchanged, edited later, or changed under the same time."""
        kind = self._pick(("same", "tie", "tie", "edit", "edit", "no date", "sold later"))
        if kind == "same":
            return row
        changed = replace(
            row,
            price=self._pick(self._profile.prices),
            title=self._pick(TEXTS),
            description=self._pick(TEXTS),
            model=self._pick((row.model, self._pick(MODELS))),
        )
        if kind == "tie":
            return replace(changed, generation=self._pick((row.generation, None, 16)))
        if kind == "no date":
            return replace(changed, edited_date=None)
        if kind == "sold later":
            return self._sale(changed)
        return replace(changed, edited_date=self._instant(), last_seen=self._instant())

    def listing(self, listing_id: int) -> list[Listing]:
        """All rows of one listing."""
        rows = [self._first(listing_id)]
        while self._odd() and len(rows) < 4:
            rows.append(self._again(self._pick(rows)))
        if self._happens(self._profile.oddity / 3):
            rows = [replace(row, edited_date=None) for row in rows]
        if self._odd():
            spoiled = self._random.randrange(len(rows))
            token = self._pick(SPAM if self._happens(0.5) else NOT_SPAM)
            rows[spoiled] = replace(rows[spoiled], spam=token)
        return rows

    def ai(self, listing_id: int) -> AiRow:
        """An AI row, often out of range."""
        flag = (None, False, True, True)
        provider = ("apple", "Authorized", "INDEPENDENT", " apple", "garage", "", None)
        return AiRow(
            listing_id=listing_id,
            sale_mode=self._pick(("obo", "OBO", "firm", "Bids", "obo ", "auction", "", None)),
            owner_type=self._pick(("private", "PRIVATE", "work_phone", " private", "", None)),
            can_ship=self._pick(flag),
            pickup_only=self._pick(flag),
            vat_invoice=self._pick(flag),
            first_owner=self._pick(flag),
            used_with_case_claim=self._pick(flag),
            repair_provider=self._pick(provider),
            negotiability_ai=self._pick(_SCORES),
            urgency_ai=self._pick(_SCORES),
            lqs_textonly=self._pick(_SCORES),
            opening_offer_nok=self._pick((None, -500, 0, 1, 3000, 7777, 99999)),
            storage_gb_fixed_ai=self._pick((None, 128, 256)),
            updated_at=self._pick((None, _START, _START + timedelta(days=400))),
        )

    def image(self, row: Listing) -> ImageRow:
        """An image row; under another generation than the listing's, it is never found."""
        generation = row.generation
        if generation is None or self._happens(0.1):
            generation = 99
        flag = (None, False, True)
        return ImageRow(
            generation=generation,
            listing_id=row.listing_id,
            image_count=self._pick((None, 0, 1, 7)),
            body_color_key_main=self._pick(COLORS if self._odd() else ("black", "blue", "pink")),
            color_known=self._pick(flag),
            color_conflict=self._pick(flag),
            n_color_votes=self._pick((None, 0, 5)),
            color_primary_vote_share=self._pick(_FRACTIONS),
            color_vote_margin_share=self._pick(_FRACTIONS),
            model_effective_generation=self._pick((None, None, generation, 13, 16, 22)),
            model_fixed_any=self._pick(flag),
            model_generation_mismatch=self._pick(flag),
            is_spam_below13=self._pick(flag),
        )

    def sources(self) -> Sources:
        """The whole data set, its listing rows shuffled: their order must not matter."""
        groups = [self.listing(1000 + number) for number in range(self._profile.listings)]
        listings = [row for group in groups for row in group]
        self._random.shuffle(listings)
        return Sources(
            listings=tuple(listings),
            ai=tuple(self.ai(g[0].listing_id) for g in groups if self._happens(0.7)),
            images=tuple(self.image(g[0]) for g in groups if self._happens(0.75)),
        )


def generate(profile: Profile, seed: int) -> Sources:
    """The data set of a profile and seed: the same one every time."""
    return _Maker(profile, seed).sources()
