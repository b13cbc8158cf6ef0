"""Rows that breach an expectation, as people see them: flat, and at most twenty."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from feature_store.text_format import MOST_ROWS


def unfold(sample: Sequence[Any]) -> tuple[dict[str, Any], Sequence[Any]]:
    """Split a row that sums up into its counts and the rows of its ``sample``."""
    if len(sample) != 1 or not isinstance(sample[0], dict):
        return {}, sample
    row = dict(sample[0])
    if "sample" not in row or not isinstance(row["sample"], list | None):
        return {}, sample
    rows = row.pop("sample")
    return row, rows or []


def sample_rows(sample: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """The first rows. A plain value is shown as a row with one value."""
    rows = (row if isinstance(row, dict) else {"value": row} for row in sample[:MOST_ROWS])
    return tuple(map(_flat, rows))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without nested values. A specification's row keeps its key and what differs."""
    if row.keys() == {"key", "observed", "expected"} and isinstance(row["key"], dict):
        observed, expected = row["observed"], row["expected"]
        if not observed or not expected:
            odd = "should not be there" if observed else "is missing"
            return {**row["key"], "row": odd}
        wrong = {n: value for n, value in observed.items() if value != expected.get(n)}
        told = {n: f"{_told(v)}, not {_told(expected.get(n))}" for n, v in wrong.items()}
        return {**row["key"], **told}
    return {
        name: json.dumps(value, default=str, ensure_ascii=False)
        if isinstance(value, dict | list)
        else value
        for name, value in row.items()
    }


def _told(value: Any) -> str:
    return "NULL" if value is None else str(value)
