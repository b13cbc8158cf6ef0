"""Text that may come from data, as a mail may show it: one line, printable, not too long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_LONGEST = 1200


class Named(str):
    """A command or an address: made of names, days and switches, so that it holds no secret.

    A password may be a part of a name. To hide it there would break the command, and tell the
    password to whoever knows the name.
    """

    __slots__ = ()


def clean_text(value: Any, hide: Callable[[str], str]) -> str:
    """A value as text: without secrets or control characters, and cut to a length."""
    # Hide secrets before cutting: nothing recognises half a secret.
    text = str(value) if isinstance(value, Named) else hide(str(value))
    lines = cut(text, _LONGEST).expandtabs(4).split("\n")
    return "\n".join(
        "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in line)
        for line in lines
    )


def one_line(text: str) -> str:
    """A text without line breaks."""
    return " ".join(text.split())


def cut(text: str, most: int, end: str = "…") -> str:
    """A text that is not longer than that; one that is cut ends so."""
    # Cut subjects end in ASCII: mail programs add blanks when they must encode and fold one.
    return text if len(text) <= most else text[: most - len(end)].rstrip() + end
