"""The rows of ``iphone_ai_enrich``: what a language model claims, with its usual mistakes."""

from collections.abc import Iterator
from datetime import datetime
from math import nan

from sandbox.sample.draws import Draw, between, pick, weighted
from sandbox.sample.facts import AI, Facts, horizon, in_chunks, moment, money
from sandbox.sample.options import SampleOptions

Row = tuple[object, ...]

_SALE_MODES: tuple[str | None, ...] = weighted(
    ("obo", 40),
    ("firm", 25),
    ("bids", 8),
    ("unspecified", 10),
    ("OBO", 3),
    ("Firm", 2),
    (" obo", 1),
    ("auction", 1),
    ("", 1),
    (None, 9),
)
_OWNERS: tuple[str | None, ...] = weighted(
    ("private", 70),
    ("work_phone", 8),
    ("PRIVATE", 3),
    ("Work_Phone", 1),
    ("company", 2),
    ("unknown", 6),
    (None, 10),
)
_REPAIRERS: tuple[str | None, ...] = weighted(
    (None, 66),
    ("apple", 12),
    ("authorized", 7),
    ("independent", 8),
    ("Apple", 2),
    ("INDEPENDENT", 1),
    ("diy", 2),
    ("", 2),
)
_SHIPPING: tuple[tuple[bool | None, bool | None], ...] = weighted(
    ((True, False), 42),
    ((False, True), 22),
    ((False, False), 14),
    ((True, True), 3),
    ((True, None), 4),
    ((None, True), 3),
    ((None, None), 12),
)
"""can_ship and pickup_only; both at once is a contradiction that occurs."""

_SELDOM: tuple[bool | None, ...] = weighted((False, 80), (True, 6), (None, 14))
_OFTEN: tuple[bool | None, ...] = weighted((False, 45), (True, 40), (None, 15))
_STRAY_SCORES = weighted((-0.2, 5), (1.7, 5), (nan, 2))


def ai_rows(options: SampleOptions) -> Iterator[Row]:
    """Yield the rows in the order of ``AI_COLUMNS``: one for about 85 % of the listings."""
    last_second = horizon(options)
    for facts, draw in in_chunks(options, AI):
        if draw() < 0.85:
            yield _row(facts, last_second, draw)


def _row(facts: Facts, last_second: int, draw: Draw) -> Row:
    return (
        facts.listing_id,
        pick(draw, _SALE_MODES),
        pick(draw, _OWNERS),
        *pick(draw, _SHIPPING),
        pick(draw, _SELDOM),
        pick(draw, _OFTEN),
        pick(draw, _OFTEN),
        pick(draw, _REPAIRERS),
        _score(draw),
        _score(draw),
        _score(draw),
        _offer(facts, draw),
        _storage(facts, draw),
        _updated(facts, last_second, draw),
    )


def _score(draw: Draw) -> float | None:
    kind = draw()
    if kind < 0.012:
        return pick(draw, _STRAY_SCORES)
    return None if kind < 0.1 else between(draw, 0, 1000) / 1000


def _offer(facts: Facts, draw: Draw) -> int | None:
    kind = draw()
    if kind < 0.006:
        return -between(draw, 1, 500)
    if kind < 0.02:
        return 0
    return money(draw, facts.price * (0.7 + 0.25 * draw())) if kind < 0.3 else None


def _storage(facts: Facts, draw: Draw) -> int | None:
    kind = draw()
    if kind < 0.02:
        return pick(draw, (64, 128, 256, 512, 1024))
    return facts.storage_gb if kind < 0.8 else None


def _updated(facts: Facts, last_second: int, draw: Draw) -> datetime | None:
    """Return when the row was rewritten: mostly after the listing's first edit, so not as of it."""
    kind = draw()
    if kind < 0.01:
        return None
    if kind < 0.05:
        return moment(facts.created - between(draw, 0, 3600))
    days = 1 if kind < 0.7 else 60
    return moment(min(last_second, facts.created + between(draw, 30, days * 86_400)))
