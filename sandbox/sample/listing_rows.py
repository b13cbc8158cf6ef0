"""The rows of ``iphone_listings``: every version of every listing, odd ones included."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from sandbox.sample.draws import Draw, between, pick, weighted
from sandbox.sample.facts import LISTINGS, Facts, horizon, in_chunks, moment
from sandbox.sample.listing_life import live, sale_of, seen_at, write_versions
from sandbox.sample.listing_texts import (
    draw_marks,
    write_description,
    write_model,
    write_storage,
    write_title,
)
from sandbox.sample.options import SampleOptions
from sandbox.sample.phones import RELEASED
from sandbox.sample.vocabulary import PLACES

Row = tuple[object, ...]

_ROW_COUNTS = weighted((1, 66), (2, 22), (3, 8), (4, 3), (5, 1))
_THOUSANDTHS = tuple(Decimal(f"{value / 1000:.3f}") for value in range(1001))
_RATINGS = tuple(Decimal(f"{value / 100:.2f}") for value in range(1001))
_ODD_PRICES = (1, 1234, 99_999)
_QUALITY_VERSIONS = weighted(("q1", 1), ("q2", 3), (None, 1))


def listing_rows(options: SampleOptions) -> Iterator[Row]:
    """Yield the rows in the order of ``LISTING_COLUMNS``, a listing's rows one after another."""
    last_second = horizon(options)
    for facts, draw in in_chunks(options, LISTINGS):
        yield from _rows_of(facts, last_second, draw)


def _rows_of(facts: Facts, last_second: int, draw: Draw) -> Iterator[Row]:
    life = live(facts, last_second, draw)
    marks = draw_marks(facts, draw)
    tie = draw() < 0.023
    count = pick(draw, _ROW_COUNTS)
    if tie or marks.first != marks.later:
        count = max(2, count)
    title = write_title(facts, marks.first, draw)
    description = write_description(marks.first, draw)
    head = (
        facts.listing_id,
        facts.generation,
        write_model(facts.phone.name, draw),
        *write_storage(facts.storage_gb, draw),
    )
    quality = (*_condition(facts, draw), *_seller(facts, draw), *_place(draw))
    url = f"https://torget.example/annonse/{facts.listing_id}"
    odd_price = _odd_price(draw)
    undated = draw()
    sold_on_all = draw() < 0.8
    versions = write_versions(facts, life, title, count, tie, draw)
    sale = sale_of(life, versions[-1].price, draw)
    for number, version in enumerate(versions, start=1):
        ended = number == count or sold_on_all
        dateless = undated < 0.004 or (undated < 0.006 and number == count)
        yield (
            *head,
            odd_price[0] if odd_price else version.price,
            *quality,
            version.title,
            description,
            url,
            life.status if ended else "active",
            marks.first if number == 1 else marks.later,
            None if dateless else moment(version.edited),
            seen_at(life, version, draw),
            *(sale if ended else (None, None, None)),
        )


def _odd_price(draw: Draw) -> tuple[int | None] | None:
    kind = draw()
    if kind > 0.011:
        return None
    if kind > 0.009:
        return (pick(draw, _ODD_PRICES),)
    return (None,) if kind > 0.004 else (0,)


def _condition(facts: Facts, draw: Draw) -> Row:
    """Return the columns from condition_score to quality_ai_version."""
    scored_at = _soon_after(facts, draw)
    score = None if draw() < 0.06 else _THOUSANDTHS[facts.condition]
    severity = None if draw() < 0.05 else facts.damage
    broken = None if severity is None else int(severity > 0)
    battery = None
    if draw() > 0.1:
        age = facts.created // 86_400 + 719_163 - RELEASED[facts.generation or 15]
        battery = max(66, min(100, int(101 - 0.0105 * max(0, age) + 4 * draw() - 4 * draw())))
    return (
        score,
        battery,
        None if battery is None else scored_at,
        severity,
        broken,
        None if severity is None else scored_at,
        pick(draw, _QUALITY_VERSIONS),
    )


def _soon_after(facts: Facts, draw: Draw) -> datetime:
    return moment(facts.created + between(draw, 60, 12 * 3600))


def _seller(facts: Facts, draw: Draw) -> Row:
    """Return the columns from seller_rating to seller_stats_fetched."""
    if draw() < 0.07:
        return None, None, None, False if draw() < 0.8 else None
    reviews = int(draw() * draw() * draw() * 160)
    year = moment(facts.created).year
    member_since = 2003 + int((1 - draw() * draw()) * (year - 2002))
    rating = None if reviews == 0 else _RATINGS[1000 - int(draw() * draw() * draw() * 600)]
    return rating, reviews, min(member_since, year), True


def _place(draw: Draw) -> Row:
    """Return location_city and postal_code."""
    kind = draw()
    if kind < 0.01:
        return None, None
    city, codes = pick(draw, PLACES)
    return city, None if kind < 0.02 else pick(draw, codes)
