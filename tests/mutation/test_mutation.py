"""The campaign's parts: the stores that it judges on are true, and no survivor goes unseen."""

from __future__ import annotations

import json
import random

import pytest

from tests.conftest import LiveStore
from tests.mutation.__main__ import RESULTS, Result, main
from tests.mutation.equivalent import argued
from tests.mutation.judge import judge
from tests.mutation.mutants import Mutant, mutants_of, unchanged
from tests.oracle.harness import load_sources
from tests.oracle.odd_cases import PROFILES, generate
from tests.relations import D1, D3, F0, A, B, C
from tests.sql.specified import differing_as

QUICK = (A, B, C, D1, D3, F0, "ml.spam_listings_v1", "ml.tom_speed_cohort_v1")
"""Relations with short queries, of which some mutants are judged here as the campaign does."""


@pytest.fixture(scope="module")
def odd(shared_store: LiveStore) -> LiveStore:
    load_sources(shared_store, generate(PROFILES[0], 1))
    return shared_store


def test_a_query_without_a_mistake_gives_the_true_rows(odd: LiveStore):
    for relation in odd.files.relations:
        name = str(relation.name)
        assert differing_as(odd, name, unchanged(relation.file.query)) == set(), name
        assert relation.specification is not None
        true = unchanged(relation.specification.query)
        assert judge(odd, Mutant(name, "specification", 0, "none", "", "", true))[0] == "survived"


def test_twenty_mutants_are_found_again(odd: LiveStore):
    lines = RESULTS.read_text().splitlines()
    kept = {(r.key, r.query): r for r in (Result(*json.loads(line)) for line in lines)}
    known = [
        mutant
        for name in QUICK
        for mutant in mutants_of(odd.files.find(name))
        if (result := kept.get((mutant.key, mutant.digest)))
        and (result.fate, result.store) == ("caught", PROFILES[0].name)
    ]
    assert len(known) >= 200, "Judge them anew: make mutation"
    for mutant in random.Random(1).sample(known, 20):
        assert judge(odd, mutant)[0] == "caught", mutant


def test_a_survivor_that_nobody_has_argued_harmless_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    mutant = next(iter(_mutants_argued()))
    monkeypatch.setattr("tests.mutation.__main__._drawn", lambda *_: [mutant])
    monkeypatch.setattr("tests.mutation.__main__._judged_before", lambda _: _survived(mutant))
    assert main([]) == 0
    monkeypatch.setattr("tests.mutation.__main__.argued", dict)
    assert main([]) == 1
    assert f'SURVIVED "{mutant.key}"' in capsys.readouterr().out


def _mutants_argued():
    from feature_store.declarations.store_definition import read_store
    from feature_store.settings import Settings

    store = read_store(Settings().include_dir)
    return (m for name in QUICK for m in mutants_of(store.find(name)) if m.key in argued())


def _survived(mutant: Mutant) -> dict[str, Result]:
    return {mutant.key: Result(mutant.key, mutant.digest, "survived", "all", "")}
