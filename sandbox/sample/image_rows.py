"""The rows of ``device_image_features_unified_v1``: what the pictures of a listing show."""

from collections.abc import Iterator
from decimal import Decimal

from sandbox.sample.draws import Draw, between, pick, weighted
from sandbox.sample.facts import IMAGES, Facts, in_chunks
from sandbox.sample.options import SampleOptions

Row = tuple[object, ...]

_IMAGE_COUNTS = weighted(
    (0, 2), (1, 8), (2, 14), (3, 20), (4, 20), (5, 14), (6, 10), (8, 8), (12, 4)
)
_STRAY_COLOURS: tuple[str | None, ...] = weighted(
    ("Blue", 3), ("Midnight", 1), ("rainbow", 2), ("", 5), (None, 9)
)
_SHARES = {
    (votes, of): Decimal(votes * 100_000 // of).scaleb(-5)
    for of in range(1, 13)
    for votes in range(of + 1)
}
"""Shares with the five digits that the table keeps, rounded down."""


def image_rows(options: SampleOptions) -> Iterator[Row]:
    """Yield the rows in the order of ``IMAGE_COLUMNS``.

    About 80 % of the listings with a known generation have one.
    """
    for facts, draw in in_chunks(options, IMAGES):
        if draw() < 0.8 and facts.generation is not None:
            yield _row(facts, facts.generation, draw)


def _row(facts: Facts, generation: int, draw: Draw) -> Row:
    images = pick(draw, _IMAGE_COUNTS)
    colour = pick(draw, _STRAY_COLOURS) if draw() < 0.11 or images == 0 else facts.colour
    votes = between(draw, (images + 1) // 2, images) if colour else 0
    seen = _generation_seen(generation, draw)
    return (
        generation,
        facts.listing_id,
        images if draw() > 0.01 else None,
        colour,
        bool(colour) if draw() > 0.02 else None,
        *_vote(votes, draw),
        seen,
        draw() < 0.04 if draw() > 0.03 else None,
        None if seen is None else seen != generation,
        facts.old_phone if draw() > 0.02 else None,
    )


def _vote(votes: int, draw: Draw) -> Row:
    """Return the columns from color_conflict to color_vote_margin_share."""
    if votes == 0:
        return None, 0, None, None
    against = int(draw() * draw() * draw() * (votes // 2 + 1))
    return (
        against > 0,
        votes,
        _SHARES[votes - against, votes],
        _SHARES[votes - 2 * against, votes],
    )


def _generation_seen(generation: int, draw: Draw) -> int | None:
    kind = draw()
    if kind < 0.55:
        return None
    if kind < 0.97:
        return generation
    return max(12, min(17, generation + pick(draw, (-1, 1))))
