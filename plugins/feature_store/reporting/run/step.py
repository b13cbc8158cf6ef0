"""One thing that people are told to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One thing to do: why, in words, and the command or SQL to type, if any."""

    words: str
    command: str = ""
