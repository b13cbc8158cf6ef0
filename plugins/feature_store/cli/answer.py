"""What a command found: words for a person, rows for a monitor (`--json`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from feature_store.errors import StoreError
from feature_store.text_format import json_rows


@dataclass(frozen=True)
class Answer:
    """The result of a command that only reads.

    Attributes:
        lines: for a person; `terminal.Heading` and `terminal.Alarm` are highlighted.
        rows: the same as flat objects, each with the same fields.
        error: the problem that was found; None if all is well.
    """

    lines: Sequence[str]
    rows: Sequence[dict[str, Any]]
    error: StoreError | None = None


def as_json(command: str, rows: Sequence[dict[str, Any]], error: Exception | None = None) -> str:
    """The JSON of every command: ``command``, ``ok``, ``error``, ``rows``.

    Moments and days are in ISO 8601, durations in seconds.
    """
    told = None
    if error is not None:
        told = {
            "problem": getattr(error, "problem", str(error)),
            "readers": getattr(error, "readers", None),
            "next_step": getattr(error, "next_step", None),
        }
    spans = [{name: _seconds(value) for name, value in row.items()} for row in rows]
    answer = {"command": command, "ok": error is None, "error": told, "rows": json_rows(spans)}
    return json.dumps(answer, indent=1, allow_nan=False)


def _seconds(value: object) -> object:
    return value.total_seconds() if isinstance(value, timedelta) else value
