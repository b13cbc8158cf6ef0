"""Differences, lists and tables in words, for messages that a person reads."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from difflib import SequenceMatcher
from typing import Any

MOST_ROWS = 20
"""Of rows that should not be there, or differ: how many are kept and shown, at most."""
_CONTEXT = 4
_MOST = 6
# Of what an error says: characters of one line, and of all.
_LINE = 2_000
_ALL = 20_000
_BITS = 1_000


def difference(before: str, after: str, most: int = _MOST) -> str:
    """The places where two texts differ, word by word: ``… WHERE a [-= 1-] {+= 2+} AND …``.

    White space does not count. At most six places are shown, or as many as are asked for.
    """
    a, b = before.split(), after.split()
    changes = [
        op for op in SequenceMatcher(None, a, b, autojunk=False).get_opcodes() if op[0] != "equal"
    ]
    shown = []
    for _, a_from, a_to, b_from, b_to in changes[:most]:
        words = a[max(0, a_from - _CONTEXT) : a_from]
        if a_to > a_from:
            words.append(f"[-{_shortened(a[a_from:a_to])}-]")
        if b_to > b_from:
            words.append(f"{{+{_shortened(b[b_from:b_to])}+}}")
        words += a[a_to : a_to + _CONTEXT]
        shown.append("… " + " ".join(words) + " …")
    if len(changes) > most:
        shown.append(f"and {len(changes) - most} more places")
    return "\n".join(shown)


def fault(text: str, *, most: int) -> str | None:
    """What keeps a text that somebody typed from being used at all; None if nothing does."""
    if len(text) > most:
        return f"has {len(text):,} characters; expected at most {most:,}"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"is {text!r}, which is not UTF-8"
    return f"is {text!r}, which contains a zero byte" if "\0" in text else None


def bounded(text: str) -> str:
    """A text of errors, whatever it quotes: no line over 2,000 characters, not over 20,000 in all.

    What is left out is left out of the middle: both ends tell what it is about.
    """
    return _cut("\n".join(_cut(line, _LINE) for line in text.split("\n")), _ALL)


def shown(value: object) -> str:
    """A value out of a file, as an error shows it: as Python writes it, but never at length."""
    return _ECHO.repr(value)


class _Echo(reprlib.Repr):
    """Values of files are nested as deeply and are as large as whoever wrote them liked."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 200

    def repr_int(self, x: int, level: int) -> str:
        """A number; of one that Python itself refuses to write, how long it is."""
        if x.bit_length() > _BITS:
            return f"a whole number of {x.bit_length():,} bits"
        return super().repr_int(x, level)


_ECHO = _Echo()


PLACEHOLDER = "'…'"
"""Where a command that people paste wants a reason of theirs. As it stands it is refused."""


def is_placeholder(text: str) -> bool:
    """Whether a reason is none: what stood in a command for it, or no word at all."""
    word = text.strip(" \t'\"<>").casefold()
    return word in ("why", "reason") or not any(map(str.isalnum, word))


def bullets(lines: Iterable[str]) -> str:
    """A list with a dash before each line; further lines of an item are indented."""
    return "\n".join("  - " + line.replace("\n", "\n    ") for line in lines)


def in_words(names: Sequence[str]) -> str:
    """Names in one line, at most six of them."""
    if len(names) <= _MOST:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST])} and {len(names) - _MOST} more"


def plural(number: int, one: str) -> str:
    """So many of something: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"


def json_value(value: object) -> object:
    """What JSON has for a value that it does not know: days and moments are in ISO 8601."""
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, Decimal) and value.is_finite():
        return float(value)
    return str(value)


def json_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows as JSON has them; NaN and the infinities, which it does not know, become text."""
    told: list[dict[str, Any]] = json.loads(
        json.dumps([dict(row) for row in rows], default=json_value), parse_constant=str
    )
    return told


def text_table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows of text as aligned columns; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    ruled = [rows[0], ["─" * width for width in widths], *rows[1:]]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in ruled
    )


def _shortened(words: list[str]) -> str:
    if len(words) <= 24:
        return " ".join(words)
    return " ".join([*words[:12], f"({len(words) - 24} words)", *words[-12:]])


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    first, last = most * 2 // 3, most // 4
    return f"{text[:first]} … ({len(text) - first - last:,} more characters) … {text[-last:]}"
