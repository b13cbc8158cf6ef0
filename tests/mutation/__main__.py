"""`make mutation`: make every mistake at every place, and list those that the proof does not see.

Each mutant that was judged is kept in ``results.jsonl``, so a campaign that was stopped goes on
where it was. The exit code is 1 if a mutant survived that nobody has argued to be harmless.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from feature_store.declarations.store_definition import read_store
from feature_store.settings import Settings
from feature_store.text_format import text_table
from tests.conftest import LiveStore
from tests.mutation.equivalent import argued
from tests.mutation.judge import Fate, judge
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.stores import true_stores

RESULTS = Path(__file__).with_name("results.jsonl")
_FATES = ("refused", "caught", "harmless", "survived")
_LONGEST = 100
"""Characters that are kept of what a judge tells."""


@dataclass(frozen=True)
class Result:
    """What became of a mutant.

    Attributes:
        key: the mutant's key.
        query: the digest of its query.
        fate: whether it survived, or how it ended.
        store: the store on which that happened.
        told: the columns that differ, or what the server said.
    """

    key: str
    query: str
    fate: Fate
    store: str
    told: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the mutants that are asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--count", type=int, help="so many of them, drawn by the seed; else all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="relations whose name has this in it")
    asked = parser.parse_args(arguments)
    mutants = _drawn(asked.count, asked.seed, asked.only)
    done = _judged_before({mutant.key: mutant for mutant in mutants})
    left = [mutant for mutant in mutants if mutant.key not in done]
    print(f"{len(mutants)} mutants, {len(done)} of them judged before.", flush=True)
    if left:
        with true_stores() as stores, RESULTS.open("a") as file:
            for number, mutant in enumerate(left, 1):
                done[mutant.key] = _judged(stores, mutant)
                file.write(json.dumps(astuple(done[mutant.key])) + "\n")
                file.flush()
                if number % 100 == 0:
                    print(f"  {number} of {len(left)}", flush=True)
    return _told(mutants, done)


def _drawn(count: int | None, seed: int, only: str) -> list[Mutant]:
    store = read_store(Settings().include_dir)
    mutants = [m for r in store.relations if only in str(r.name) for m in mutants_of(r)]
    if count is None or count >= len(mutants):
        return mutants
    return random.Random(seed).sample(mutants, count)


def _judged_before(mutants: Mapping[str, Mutant]) -> dict[str, Result]:
    """Results that still hold. A survivor is judged again: the stores may have become richer."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    results = [Result(*json.loads(line)) for line in lines]
    return {
        result.key: result
        for result in results
        if result.key in mutants
        and result.query == mutants[result.key].digest
        and result.fate != "survived"
    }


def _judged(stores: Mapping[str, LiveStore], mutant: Mutant) -> Result:
    for name, store in stores.items():
        fate, told = judge(store, mutant)
        if fate != "survived":
            return Result(mutant.key, mutant.digest, fate, name, told[:_LONGEST])
    return Result(mutant.key, mutant.digest, "survived", "all", "")


def _told(mutants: Sequence[Mutant], done: Mapping[str, Result]) -> int:
    harmless = argued()
    survivors = [m for m in mutants if done[m.key].fate == "survived" and m.key not in harmless]
    counts: dict[tuple[str, str], Counter[str]] = {}
    for mutant in mutants:
        fate = done[mutant.key].fate
        argued_so = fate == "survived" and mutant.key in harmless
        fates = counts.setdefault((mutant.relation, mutant.part), Counter())
        fates["harmless" if argued_so else fate] += 1
    counts["all", ""] = sum(counts.values(), Counter())
    table = [
        (*place, str(fates.total()), *(str(fates[fate]) for fate in _FATES))
        for place, fates in counts.items()
    ]
    print(text_table([("relation", "in its", "mutants", *_FATES), *table], right=(2, 3, 4, 5, 6)))
    for one in survivors:
        print(f'\nSURVIVED "{one.key}"\n    {one.before}\n  → {one.after}')
    wrong = [key for key in harmless if key in done and done[key].fate != "survived"]
    for key in wrong:
        print(f'\nNOT HARMLESS, take it out of equivalent.toml: "{key}"')
    return 1 if survivors or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
