"""Every relation equals the oracle: row for row, all columns, in column order, with its types."""

from datetime import UTC
from typing import Any

import pytest

from tests.oracle import RELATIONS, Sources, compute
from tests.oracle.compare import differences, explain
from tests.oracle.harness import Store, load_sources
from tests.oracle.odd_cases import PROFILES, Profile, generate

SEEDS = (1, 2)


def _assert_equals_oracle(store: Store, expected: dict[str, list[dict[str, Any]]]) -> None:
    problems = []
    for relation in RELATIONS:
        found = differences(relation, store.rows(relation.name), expected[relation.name])
        if found:
            problems.append(explain(relation, found))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_relations_equal_the_oracle(store: Store, profile: Profile, seed: int) -> None:
    sources = generate(profile, seed)
    load_sources(store, sources)
    _assert_equals_oracle(store, compute(sources, UTC))


def test_a_second_refresh_of_changed_sources_leaves_nothing_behind(store: Store) -> None:
    """Concurrent refreshes merge differences into the old rows: only the new ones may remain."""
    load_sources(store, generate(PROFILES[0], 3))
    sources = generate(PROFILES[1], 3)
    load_sources(store, sources)
    _assert_equals_oracle(store, compute(sources, UTC))


def test_relations_without_sources_are_empty(store: Store) -> None:
    load_sources(store, Sources())
    assert {r.name: store.rows(r.name) for r in RELATIONS} == {r.name: [] for r in RELATIONS}


def test_columns_have_the_documents_names_order_and_types(store: Store) -> None:
    found = {relation.name: store.columns(relation.name) for relation in RELATIONS}
    assert found == {relation.name: list(relation.columns) for relation in RELATIONS}
