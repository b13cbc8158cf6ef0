r"""Makes what the command line writes harmless for the terminal that shows it.

Much of it was written by others: rows, reasons, run ids and messages of the database, values of
files. A terminal obeys control characters (it moves the cursor, sets titles, fills the clipboard),
and direction marks change the order of shown text. So everything but plain text is shown as Python
escapes it (``\x1b``, ``\u202e``). Lines and tabs stay. Only `say` adds colours: on a terminal,
unless NO_COLOR is set.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import IO, Any, cast

# Control characters, invisible marks (such as directions), halves of characters, and separators of
# lines and paragraphs other than a line feed.
_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")


_RESET = "\x1b[0m"


class Heading(str):
    """A heading."""

    style = "\x1b[1m"


class Alarm(str):
    """A line about a problem."""

    style = "\x1b[31m"


def plain(text: str) -> str:
    """A text without anything that a terminal would obey."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


@contextmanager
def plain_output() -> Iterator[None]:
    """Make everything plain that is written to the standard streams within it.

    Raises:
        BrokenPipeError: the reader has closed the pipe.
    """
    out, err = (cast("IO[str]", _Plain(stream)) for stream in (sys.stdout, sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        try:
            yield
        finally:
            out.flush()  # here, where it can be handled, and not when Python exits


def reword(change: Callable[[str], str], *streams: IO[str]) -> None:
    """From here to the end of `plain_output`, change all that is written to these streams."""
    for stream in streams:
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
    """Discard what is still to be written: nobody reads it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _shown(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _OBEYED:
        return character
    return character.encode("unicode_escape").decode("ascii")


class _Plain:
    """A stream of text; it also escapes what its encoding lacks."""

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
        """Write a line in a style, which its text cannot change."""
        self._stream.write(style)
        self.write(line)
        self._stream.write(f"{_RESET}\n")

    @property
    def shows_colours(self) -> bool:
        """Whether to use colours: on a terminal that supports them, unless NO_COLOR is set."""
        able = os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("NO_COLOR")
        return able and self._stream.isatty()

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
