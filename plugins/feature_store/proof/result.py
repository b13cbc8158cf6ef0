"""The result of comparing two sets of rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from feature_store.text_format import MOST_ROWS


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        found: rows that were found.
        compared: rows of both sides together; a row on both counts once.
        broken: how many of them differ, are missing, or should not be there.
        sample: up to 20 of those as JSON, each with its key, what was observed and expected.
        seconds: how long it took.
        digest: of the rows that were found (`proof.digest`); None if it was not asked for.
    """

    found: int
    compared: int
    broken: int
    sample: tuple[str, ...]
    seconds: float
    digest: Decimal | None = None

    def counting_missed(self, rows: int) -> Comparison:
        """The same, but rows of the relation that were not compared count as different."""
        missed = abs(self.found - rows)
        if not missed:
            return self
        return self._with({"compared": self.found}, {"compared": rows}, missed)

    def _with(
        self, observed: Mapping[str, int], expected: Mapping[str, int], more: int
    ) -> Comparison:
        told = json.dumps({"key": {}, "observed": observed, "expected": expected})
        sample = (told, *self.sample)[:MOST_ROWS]
        return replace(self, broken=self.broken + more, sample=sample)
