"""What a rehearsal found of one relation, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from feature_store.proof.result import Comparison
from feature_store.relation_name import Name

_SHOWN = 3


@dataclass(frozen=True)
class Rehearsed:
    """The result for one relation.

    Attributes:
        name: the relation.
        proof: its new rows compared with its specification; None if it has none.
        live: its new rows compared with those that readers have now; None if there are none.
        columns: columns that only one of the two has, in words.
        broken: expectations that its new rows breach, with the number of rows.
        met: how many expectations its new rows meet.
    """

    name: Name
    proof: Comparison | None
    live: Comparison | None
    columns: str
    broken: tuple[str, ...]
    met: int

    @property
    def fits(self) -> bool:
        """Whether a run would have found nothing wrong with it, as far as this can tell."""
        return not self.broken and not (self.proof and self.proof.broken)

    def __str__(self) -> str:
        return "\n".join([str(self.name), *(f"  {line}" for line in self._lines())])

    def _lines(self) -> Iterator[str]:
        if self.proof:
            yield (
                f"its specification: {self.proof.compared:,} rows compared, "
                f"{self.proof.broken:,} differ"
            )
            yield from _examples(self.proof, "expected")
        yield f"expectations: {self.met} met, {len(self.broken)} broken"
        yield from (f"  broken: {words}" for words in self.broken)
        if self.live is None and not self.columns:
            yield "readers have no rows of it now"
        elif self.live:
            yield (
                f"what readers have now: {self.live.compared:,} rows compared, "
                f"{self.live.broken:,} differ"
            )
            yield from _examples(self.live, "now")
        if self.columns:
            yield self.columns


def _examples(done: Comparison, other: str) -> Iterator[str]:
    for told in map(json.loads, done.sample[:_SHOWN]):
        key = ", ".join(f"{name} {value}" for name, value in told["key"].items())
        values = ", ".join(
            f"{name} {value}, {other} {told['expected'].get(name)}"
            for name, value in told["observed"].items()
        )
        yield f"  {key}: {values}" if key else f"  {values}"
