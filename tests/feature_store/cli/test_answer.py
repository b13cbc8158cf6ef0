"""What monitors get: JSON that every parser takes, whatever the values."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from feature_store.cli.answer import as_json
from feature_store.errors import NotReady


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (7, 7),
        (0.5, 0.5),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (Decimal("1.50"), 1.5),
        (Decimal("NaN"), "NaN"),
        (date(2026, 6, 30), "2026-06-30"),
        (datetime(2026, 6, 30, 1, 20, tzinfo=UTC), "2026-06-30T01:20:00+00:00"),
        (timedelta(hours=1.5), 5400.0),
        ("før \x1b[31m", "før \x1b[31m"),
        (["a"], ["a"]),
        (b"bytes", "b'bytes'"),
    ],
)
def test_every_value_has_a_form_in_json(value, shown):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    text = as_json("status", [{"value": value}])
    answer = json.loads(text, parse_constant=refuse)
    assert answer == {"command": "status", "ok": True, "error": None, "rows": [{"value": shown}]}
    assert text.isascii(), "so that no terminal obeys it"


def test_an_error_says_what_its_text_says():
    told = json.loads(as_json("report", [], NotReady("No run.", next_step="Run one.")))
    assert told["ok"] is False
    assert told["error"] == {"problem": "No run.", "readers": None, "next_step": "Run one."}
