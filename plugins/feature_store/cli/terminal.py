r"""What the command line writes, made harmless for the terminal that shows it.

Much of it was written by others: rows, reasons, run ids and messages of the database, values of
files. A terminal obeys what it is sent (it moves the cursor, sets titles, fills the clipboard), and
marks of direction show text in another order than it has. So what is no plain text is shown as
Python writes it (``\x1b``, ``\u202e``). Lines and tabs stay. Colours come from `say` alone: on a
terminal, unless NO_COLOR is set.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import IO, Any, cast

# Control characters, marks without a shape (directions among them), halves of characters, and
# separators of lines and paragraphs that are no line feed.
_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")


_RESET = "\x1b[0m"


class Heading(str):
    """A line that leads."""

    style = "\x1b[1m"


class Alarm(str):
    """A line that says what is not as it should be."""

    style = "\x1b[31m"


def plain(text: str) -> str:
    """A text with nothing in it that a terminal would obey."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


@contextmanager
def plain_output() -> Iterator[None]:
    """Within it, whatever is written to the standard streams is plain, by whomever.

    Raises:
        BrokenPipeError: whoever read them has gone.
    """
    out, err = (cast("IO[str]", _Plain(stream)) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
        finally:
            out.flush()  # now, where it can be told, and not as Python ends


def reword(change: Callable[[str], str]) -> None:
    """From here to the end of `plain_output`, change all that is written."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _Plain):
            stream.change = change


def say(*lines: str, to: IO[str] | None = None) -> None:
    """Print lines, each in the style of its kind."""
    stream = to or sys.stdout
    for line in lines:
        style = getattr(line, "style", "")
        if isinstance(stream, _Plain) and style and stream.shows_colours:
            stream.write_in(style, line)
        else:
            stream.write(f"{line}\n")


def close_quietly() -> None:
    """Let what is left to be written go nowhere: nobody reads it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _shown(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _OBEYED:
        return character
    return character.encode("unicode_escape").decode("ascii")


class _Plain:
    """A stream of text; what its encoding does not know is escaped, too."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self.change: Callable[[str], str] = str

    def write(self, text: str) -> int:
        known = (
            plain(self.change(text))
            .encode(self._encoding, "backslashreplace")
            .decode(self._encoding)
        )
        self._stream.write(known)
        return len(text)

    def write_in(self, style: str, line: str) -> None:
        """Write a line in a style; what it says cannot change that."""
        self._stream.write(style)
        self.write(line)
        self._stream.write(f"{_RESET}\n")

    @property
    def shows_colours(self) -> bool:
        """On a terminal that can, for a person who does not mind."""
        able = os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("NO_COLOR")
        return able and self._stream.isatty()

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
