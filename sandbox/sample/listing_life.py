"""What happens to a listing: its sale, its edits and re-scrapes, in seconds since 1970."""

from datetime import datetime
from typing import NamedTuple

from sandbox.sample.demand import pace
from sandbox.sample.draws import Draw, between, pick, quantile, weighted
from sandbox.sample.facts import Facts, moment, money
from sandbox.sample.vocabulary import CUT_MARKS

_HOUR = 3600
_DAY = 24 * _HOUR


class Life(NamedTuple):
    """How a listing ends.

    Attributes:
        end: when it was last known to be online.
        sold: when it was sold, None if it was not.
        status: its state when it was last scraped.
    """

    end: int
    sold: int | None
    status: str | None


class Version(NamedTuple):
    """One row's worth of a listing: when it was written and last seen, its price and title."""

    edited: int
    seen: int
    price: int
    title: str | None


_HOURS_TO_SELL = (0.5, 4, 9, 15, 22, 30, 39, 49, 61, 76, 94, 118, 150, 195, 275, 430, 1200)
"""Equally spaced quantiles of the hours until a fairly priced phone is sold: nearly log-normal."""

_SOLD = weighted(("sold", 96), ("Solgt", 2), (None, 2))
_GONE = weighted(("inactive", 90), ("deleted", 8), (None, 2))
_ONLINE = weighted(("active", 98), (None, 2))


def live(facts: Facts, last_second: int, draw: Draw) -> Life:
    """Return a listing's end, which is at the sample's last second or before.

    About 1 in 180 sales is dated before the listing's first edit, as happens when a sold listing is
    written anew.
    """
    created = facts.created
    fate = draw()
    hours = quantile(draw, _HOURS_TO_SELL) * pace(facts)
    if fate < 0.0055:
        sold = created - between(draw, 600, 3 * _DAY)
        return Life(min(last_second, created + between(draw, 600, _DAY)), sold, pick(draw, _SOLD))
    end = created + max(900, int(hours * _HOUR))
    if end > last_second:
        seen = last_second - between(draw, 0, 30 * _HOUR)
        return Life(min(last_second, max(created + 60, seen)), None, pick(draw, _ONLINE))
    if fate < 0.14:
        return Life(end, None, pick(draw, _GONE))
    return Life(end, end, pick(draw, _SOLD))


def write_versions(
    facts: Facts, life: Life, title: str | None, count: int, tie: bool, draw: Draw
) -> list[Version]:
    """Return the versions of a listing, oldest first.

    Each later one is an edit (usually a lower price, always a later ``edited``) or a re-scrape (the
    same ``edited``, seen later). With ``tie`` the second has the first one's ``edited`` and yet
    differs from it.
    """
    edited = now = facts.created
    price = facts.price
    versions = [Version(edited, life.end, price, title)]
    for number in range(1, count):
        before, now = now, min(life.end, now + 1 + int((life.end - now) * 0.6 * draw()))
        seen = before + int((now - before) * draw())
        versions[-1] = versions[-1]._replace(seen=seen)
        if number == 1 and tie:
            price = max(50, price - pick(draw, (100, 200, 500)))
        elif draw() < 0.62:
            edited = now
            price, title = _edit(price, title, draw)
        versions.append(Version(edited, life.end, price, title))
    return versions


def _edit(price: int, title: str | None, draw: Draw) -> tuple[int, str | None]:
    if draw() < 0.15:
        return price, f"{title or ''}!"
    lower = min(price, money(draw, price * (0.88 + 0.1 * draw())))
    if title and draw() < 0.2:
        title = pick(draw, CUT_MARKS) + title
    return lower, title


def seen_at(life: Life, version: Version, draw: Draw) -> datetime | None:
    """Return ``last_seen`` of a row; of unsold ones a few have none."""
    if life.sold is None and draw() < 0.02:
        return None
    return moment(version.seen)


def sale_of(life: Life, price: int, draw: Draw) -> tuple[datetime | None, int | None, int | None]:
    """Return ``sold_date``, ``sold_price`` and ``real_sold_price``, given the last asking price."""
    if life.sold is None:
        return None, None, None
    paid = price if draw() < 0.55 else money(draw, price * (0.85 + 0.14 * draw()))
    confirmed: int | None = None
    if draw() < 0.13:
        confirmed = 0 if draw() < 0.05 else money(draw, paid * (0.94 + 0.06 * draw()))
    return moment(life.sold), None if draw() < 0.24 else paid, confirmed
