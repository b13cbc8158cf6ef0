"""The facts about a listing, which all tables share.

The listing rows, the AI rows and the image rows are generated one after another, each from these
facts, so that a million listings never have to be in memory at once.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sandbox.sample.draws import Draw, between, noise, pick, stream, weighted
from sandbox.sample.options import SampleOptions
from sandbox.sample.phones import PHONES, RELEASED, Phone, draw_generation, market_price

CHUNK = 1000
"""Listings that share one random stream."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FACTS, LISTINGS, AI, IMAGES = range(4)
"""Purposes of the random streams."""


class Facts(NamedTuple):
    """One listing.

    Attributes:
        listing_id: unique, rising with time as the numbers of a real site do.
        generation: 13 to 17, or None where nobody could tell.
        phone: the model that is really for sale.
        storage_gb: the storage that it really has.
        colour: its colour key.
        created: when it was first published, in seconds since 1970 (UTC).
        condition: 0 to 1000, thousandths of a perfect condition.
        damage: 0 none, 1 light, 2 visible, 3 broken.
        greed: asking price over a fair price; below 1 is a bargain.
        price: first asking price in NOK.
        old_phone: an older phone than the store covers, advertised as a newer one.
    """

    listing_id: int
    generation: int | None
    phone: Phone
    storage_gb: int
    colour: str
    created: int
    condition: int
    damage: int
    greed: float
    price: int
    old_phone: bool


_OLD_PHONES = (
    Phone("iPhone 11", (64, 128, 256), 8990, ("black", "white", "red")),
    Phone("iPhone 12", (64, 128, 256), 9990, ("black", "blue", "white")),
    Phone("iPhone 12 Pro", (128, 256, 512), 12490, ("graphite", "gold", "silver")),
)
_HOURS = weighted(
    *((hour, 2) for hour in range(5)),
    *((hour, 3) for hour in (5, 6, 22, 23)),
    *((hour, 6) for hour in range(7, 15)),
    *((hour, 9) for hour in range(15, 22)),
)
"""UTC hours at which people publish: mostly in the evening, yet at every hour of the day."""

_DAMAGES = weighted((0, 66), (1, 22), (2, 9), (3, 3))
_DAMAGE_PRICES = (1.0, 0.93, 0.8, 0.5)
_ROUNDINGS = weighted(((100, 0), 4), ((50, 0), 3), ((100, 1), 2), ((100, 10), 2), ((500, 0), 2))
"""Step to which a price is rounded and what is taken off then: people write 5,990 or 4,999."""


def in_chunks(options: SampleOptions, purpose: int) -> Iterator[tuple[Facts, Draw]]:
    """Yield each listing's facts, with the stream of a purpose for further draws."""
    for first in range(0, options.listings, CHUNK):
        chunk = first // CHUNK
        draw_fact = stream(options.seed, FACTS, chunk)
        draw = stream(options.seed, purpose, chunk)
        for index in range(first, min(first + CHUNK, options.listings)):
            yield _facts(options, index, draw_fact), draw


def moment(seconds: int) -> datetime:
    """Return the aware UTC time that many seconds after 1970 began."""
    return EPOCH + timedelta(seconds=seconds)


def horizon(options: SampleOptions) -> int:
    """Return the last second of the sample's last day, in seconds since 1970."""
    return (options.last_day.toordinal() + 1 - EPOCH.toordinal()) * 86_400 - 1


def money(draw: Draw, amount: float) -> int:
    """Return an amount rounded as a seller would write it, at least 50."""
    step, less = pick(draw, _ROUNDINGS)
    return max(50, int(amount / step + 0.5) * step - less)


def _facts(options: SampleOptions, index: int, draw: Draw) -> Facts:
    days_in = (index * options.days + int(draw() * options.days)) // options.listings
    day = options.first_day.toordinal() + days_in
    created = (day - EPOCH.toordinal()) * 86_400 + pick(draw, _HOURS) * 3600 + int(draw() * 3600)
    generation = draw_generation(draw, day)
    phone = pick(draw, PHONES[generation])
    old_phone = draw() < 0.008
    if old_phone:
        generation, phone = 13, pick(draw, _OLD_PHONES)
    storages = phone.storages
    storage_gb = storages[min(int(draw() * draw() * len(storages) * 1.6), len(storages) - 1)]
    damage = pick(draw, _DAMAGES)
    condition = max(50, min(1000, int(880 - 150 * damage + 80 * noise(draw))))
    greed = _greed(draw)
    fair = market_price(phone, storage_gb, day - RELEASED[generation])
    fair *= (0.7 + 0.00034 * condition) * _DAMAGE_PRICES[damage]
    return Facts(
        listing_id=300_000_000 + index * 37 + int(draw() * 37),
        generation=None if draw() < 0.012 else generation,
        phone=phone,
        storage_gb=storage_gb,
        colour=pick(draw, phone.colours),
        created=created,
        condition=condition,
        damage=damage,
        greed=greed,
        price=money(draw, fair * greed),
        old_phone=old_phone,
    )


def _greed(draw: Draw) -> float:
    kind = draw()
    if kind < 0.012:
        return 0.4 + 0.002 * between(draw, 0, 100)
    if kind < 0.04:
        return 1.5 + 0.012 * between(draw, 0, 100)
    return 1 + 0.13 * noise(draw)
