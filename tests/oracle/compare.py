"""Comparing a relation with the oracle's, row for row: exact, and readable where they differ."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.oracle.relations import Relation

# ln() and pow() come from the C library, which may round the last bit differently from one
# build to the next. What is computed from them is compared with a relative tolerance; all else
# is compared bit for bit.
LIBM_COLUMNS = frozenset(
    {
        "gmc_color_rarity_score",
        "gmc_color_rarity_global",
        "gmc_seg_color_entropy",
        "sum_w",
        "speed_fast7_anchor",
        "speed_fast24_anchor",
        "speed_slow21_anchor",
        "speed_n_eff_ptv",
    }
)
_RELATIVE = 1e-12
_SHOWN = 10


def exact(value: Any) -> tuple[str, str]:
    """A sortable form that differs exactly where type or value differ, -0.0 and NaN included."""
    if isinstance(value, float):
        return ("float", value.hex())
    if isinstance(value, Decimal):
        return ("Decimal", str(value.normalize() if value else Decimal(0)))
    if isinstance(value, datetime):
        return ("datetime", value.astimezone(UTC).isoformat())
    return (type(value).__name__, repr(value))


def _same(column: str, left: Any, right: Any) -> bool:
    if column in LIBM_COLUMNS and isinstance(left, float) and isinstance(right, float):
        if left == 0 or right == 0:
            return exact(left) == exact(right)
        return math.isclose(left, right, rel_tol=_RELATIVE)
    return exact(left) == exact(right)


def _by_key(
    relation: Relation, rows: Iterable[Mapping[str, Any]]
) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    result: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in rows:
        key = tuple(row[name] for name in relation.key)
        assert key not in result, f"{relation.name}: key {key} occurs twice"
        result[key] = row
    return result


def _multiset_differences(
    actual: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]
) -> list[str]:
    left = Counter(tuple(map(exact, row.values())) for row in actual)
    right = Counter(tuple(map(exact, row.values())) for row in expected)
    return [f"unexpected: {row}" for row in left - right] + [
        f"missing: {row}" for row in right - left
    ]


def differences(
    relation: Relation,
    actual: Sequence[Mapping[str, Any]],
    expected: Sequence[Mapping[str, Any]],
) -> list[str]:
    """What differs, one line each; nothing if the rows are the same, in whatever order."""
    names = [name for name, _ in relation.columns]
    wrong = [list(row) for row in (*actual, *expected) if list(row) != names]
    if wrong:
        return [f"columns {wrong[0]}, expected {names}"]
    if not relation.key:
        return _multiset_differences(actual, expected)
    left, right = _by_key(relation, actual), _by_key(relation, expected)
    lines = [f"unexpected row: {key}" for key in left.keys() - right.keys()]
    lines += [f"missing row: {key}" for key in right.keys() - left.keys()]
    for key in left.keys() & right.keys():
        lines += [
            f"{key} {name}: {left[key][name]!r}, expected {right[key][name]!r}"
            for name in names
            if not _same(name, left[key][name], right[key][name])
        ]
    return lines


def explain(relation: Relation, lines: Sequence[str]) -> str:
    """The first few differences, for an assertion message."""
    shown = "\n  ".join(sorted(lines)[:_SHOWN])
    return f"{relation.name}: {len(lines)} differences from the oracle\n  {shown}"
