"""What there is to sell: models, when they came out, what they cost new, their colours."""

from datetime import date
from functools import lru_cache
from typing import NamedTuple

from sandbox.sample.draws import Draw, weighted

Colours = tuple[str, ...]


class Phone(NamedTuple):
    """One model of one generation.

    Attributes:
        name: the maker's name for it, 'iPhone 15 Pro Max'.
        storages: gigabytes to choose from, smallest first.
        new_price: price in NOK at release with the smallest storage.
        colours: colour keys; some are not among the 20 that the store knows.
    """

    name: str
    storages: tuple[int, ...]
    new_price: int
    colours: Colours


RELEASED = {
    13: date(2021, 9, 24).toordinal(),
    14: date(2022, 9, 16).toordinal(),
    15: date(2023, 9, 22).toordinal(),
    16: date(2024, 9, 20).toordinal(),
    17: date(2025, 9, 19).toordinal(),
}
"""Day on which each generation reached the shops, as a date's ordinal."""

_BASE_13: Colours = ("midnight", "midnight", "starlight", "blue", "pink", "green", "red")
_PRO_13: Colours = ("graphite", "graphite", "silver", "gold", "sierra_blue", "alpine_green")
_BASE_14: Colours = ("midnight", "midnight", "starlight", "blue", "purple", "yellow")
_PRO_14: Colours = ("space_black", "space_black", "deep_purple", "deep_purple", "silver", "gold")
_BASE_15: Colours = ("black", "black", "blue", "pink", "green", "yellow")
_PRO_15: Colours = ("natural_titanium", "blue_titanium", "black_titanium", "white_titanium")
_BASE_16: Colours = ("black", "black", "black", "pink", "teal", "ultramarine")
_PRO_16: Colours = ("desert_titanium", "natural_titanium", "black_titanium", "white_titanium")
_BASE_17: Colours = ("black", "black", "black", "mist_blue", "sage")
_AIR_17: Colours = ("space_black", "space_black", "light_gold", "sky_blue")
_PRO_17: Colours = ("cosmic_orange", "deep_blue", "silver")

_TO_HALF = (128, 256, 512)
_TO_FULL = (128, 256, 512, 1024)
_FROM_QUARTER = (256, 512, 1024)

PHONES: dict[int, tuple[Phone, ...]] = {
    13: weighted(
        (Phone("iPhone 13 mini", _TO_HALF, 8990, _BASE_13), 1),
        (Phone("iPhone 13", _TO_HALF, 9990, _BASE_13), 3),
        (Phone("iPhone 13 Pro", _TO_FULL, 12490, _PRO_13), 2),
        (Phone("iPhone 13 Pro Max", _TO_FULL, 13490, _PRO_13), 1),
    ),
    14: weighted(
        (Phone("iPhone 14", _TO_HALF, 11490, _BASE_14), 3),
        (Phone("iPhone 14 Plus", _TO_HALF, 12990, _BASE_14), 1),
        (Phone("iPhone 14 Pro", _TO_FULL, 14990, _PRO_14), 2),
        (Phone("iPhone 14 Pro Max", _TO_FULL, 16490, _PRO_14), 2),
    ),
    15: weighted(
        (Phone("iPhone 15", _TO_HALF, 12490, _BASE_15), 2),
        (Phone("iPhone 15 Plus", _TO_HALF, 13990, _BASE_15), 1),
        (Phone("iPhone 15 Pro", _TO_FULL, 15490, _PRO_15), 3),
        (Phone("iPhone 15 Pro Max", _FROM_QUARTER, 18490, _PRO_15), 2),
    ),
    16: weighted(
        (Phone("iPhone 16e", _TO_HALF, 8990, ("black", "white")), 1),
        (Phone("iPhone 16", _TO_HALF, 11990, _BASE_16), 2),
        (Phone("iPhone 16 Plus", _TO_HALF, 13490, _BASE_16), 1),
        (Phone("iPhone 16 Pro", _TO_FULL, 14990, _PRO_16), 2),
        (Phone("iPhone 16 Pro Max", _FROM_QUARTER, 17990, _PRO_16), 2),
    ),
    17: weighted(
        (Phone("iPhone 17", _FROM_QUARTER[:2], 11990, _BASE_17), 2),
        (Phone("iPhone Air", _FROM_QUARTER, 14490, _AIR_17), 1),
        (Phone("iPhone 17 Pro", _FROM_QUARTER, 15990, _PRO_17), 2),
        (Phone("iPhone 17 Pro Max", (*_FROM_QUARTER, 2048), 17490, _PRO_17), 2),
    ),
}
"""Models by generation, for ``pick``: those that sell better occur more often."""


def draw_generation(draw: Draw, day: int) -> int:
    """Return the generation of a phone offered on a day (a date's ordinal).

    A generation is absent before its release, becomes common within a year and fades slowly after.
    Days before the first release get the first generation: the store knows none that is older.
    """
    share = draw()
    for generation, limit in _generation_limits(day):
        if share < limit:
            return generation
    return 13


@lru_cache(maxsize=4096)
def _generation_limits(day: int) -> tuple[tuple[int, float], ...]:
    weights = {generation: _popularity(day - released) for generation, released in RELEASED.items()}
    total = sum(weights.values()) or 1.0
    limits, below = [], 0.0
    for generation, weight in weights.items():
        below += weight / total
        limits.append((generation, below))
    return tuple(limits)


def _popularity(age_days: int) -> float:
    if age_days < 0:
        return 0.0
    if age_days < 365:
        return age_days / 365
    return max(0.4, 1 - (age_days - 365) / 2500)


def market_price(phone: Phone, storage_gb: int, age_days: int) -> float:
    """Return what a fair seller would ask in NOK for a phone in good condition.

    A phone loses a tenth when it leaves the shop, half of the rest in 900 days, and so on ever
    slower; each doubling of storage adds 7 % of the new price.
    """
    steps = phone.storages.index(storage_gb)
    return phone.new_price * (1 + 0.07 * steps) * 0.9 * 900 / (900 + max(0, age_days))
