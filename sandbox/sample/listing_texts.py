"""What a listing says: its model, storage, title and description, and the marks on its rows."""

from typing import NamedTuple

from sandbox.sample.draws import Draw, pick, weighted
from sandbox.sample.facts import Facts
from sandbox.sample.vocabulary import (
    COLOUR_WORDS,
    NOT_SPAM_MARKS,
    OLD_PHONE_MARKS,
    PARAGRAPHS,
    SPAM_MARKS,
    TITLES,
    UNKNOWN_MARKS,
    WANTED_TEXT,
    WANTED_TITLES,
    WANTED_WORDS,
)


class Marks(NamedTuple):
    """The spam column of a listing's first row and of its later ones."""

    first: str | None
    later: str | None


_CLEAN = Marks(None, None)
_STORAGE_FORMS = weighted(("{} GB", 5), ("{}GB", 4), ("{}gb", 2), ("{} gb", 1), ("{}", 1))
_ODD_STORAGES = (500, 500, 120, 64, 1000, 250)


def draw_marks(facts: Facts, draw: Draw) -> Marks:
    """Return the marks: none for nine listings in ten, spam for one in twenty.

    About 1 % carry a spam mark on some rows and none on others.
    """
    kind = draw()
    if facts.old_phone and kind < 0.75:
        mark = pick(draw, OLD_PHONE_MARKS)
        return Marks(mark, mark)
    if kind < 0.04:
        mark = pick(draw, SPAM_MARKS)
        return Marks(mark, mark)
    if kind < 0.058:
        mark = pick(draw, NOT_SPAM_MARKS)
        return Marks(mark, mark)
    if kind < 0.066:
        mark = pick(draw, UNKNOWN_MARKS)
        return Marks(mark, mark)
    if kind < 0.072:
        return Marks(pick(draw, SPAM_MARKS), None)
    if kind < 0.078:
        return Marks(None, pick(draw, SPAM_MARKS))
    return _CLEAN


def write_model(name: str, draw: Draw) -> str | None:
    """Return the model as the site holds it: 1 in 12 is odd, empty or missing."""
    kind = draw()
    if kind > 0.085:
        return name
    if kind > 0.055:
        return name.lower()
    if kind > 0.03:
        return name.replace(" ", "  ")
    if kind > 0.024:
        return name.upper()
    if kind > 0.02:
        return name.replace(" ", "\t")
    if kind > 0.011:
        return None
    return "" if kind > 0.005 else "   "


def write_storage(storage_gb: int, draw: Draw) -> tuple[int | None, str | None, str | None]:
    """Return storage_gb, storage_gb_raw and storage: 3 % are unknown, 1 % are typing errors."""
    kind = draw()
    if kind < 0.03:
        return None, None, None
    if kind < 0.042:
        storage_gb = pick(draw, _ODD_STORAGES)
    raw = "1 TB" if storage_gb == 1024 else pick(draw, _STORAGE_FORMS).format(storage_gb)
    return storage_gb, raw, f"{storage_gb} GB" if draw() < 0.9 else None


def write_title(facts: Facts, mark: str | None, draw: Draw) -> str | None:
    """Return a title that fits the phone and the mark; a few listings have an empty one or none."""
    kind = draw()
    if kind < 0.006:
        return None if kind < 0.003 else ""
    template = pick(draw, WANTED_TITLES if _is_wanted(mark) else TITLES)
    return template.format(
        model=facts.phone.name,
        storage="1TB" if facts.storage_gb == 1024 else f"{facts.storage_gb}GB",
        colour=COLOUR_WORDS[facts.colour],
    )


def write_description(mark: str | None, draw: Draw) -> str | None:
    """Return a few Norwegian sentences; 1 % of the listings have none, a few an empty text."""
    if _is_wanted(mark):
        return WANTED_TEXT
    kind = draw()
    if kind < 0.015:
        return None if kind < 0.01 else ""
    sentences = [pick(draw, sentences) for sentences in PARAGRAPHS if draw() < 0.62]
    return ("\n" if kind > 0.75 else " ").join(sentences)


def _is_wanted(mark: str | None) -> bool:
    return mark is not None and mark.strip().lower() in WANTED_WORDS
