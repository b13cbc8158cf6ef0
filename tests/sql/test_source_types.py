"""Sources may have any type of their columns' families: true rows agree with the specifications."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from psycopg import sql

from feature_store.database.catalog import live_columns
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.source_tables import read_sources
from feature_store.declarations.store_definition import Store
from feature_store.errors import ContractBroken
from feature_store.proof.fit import specification_problems
from feature_store.proof.proving import compare_stored
from feature_store.schema.apply import apply
from feature_store.schema.stamps.contract_stamp import stamp
from feature_store.settings import Settings
from feature_store.validation.profile_parts import Bins
from feature_store.validation.profile_query import Column, months, sample
from sandbox.server import Server
from tests.conftest import LiveStore
from tests.oracle.harness import load_sources
from tests.oracle.odd_cases import PROFILES, generate

_BECOMES: dict[str, Mapping[str, str]] = {
    "wide": {"int": "bigint", "numeric": "numeric", "text": "varchar(4000)"},
    "floats": {"numeric": "double precision", "timestamp": "timestamp"},
}
# A key, a day and a price do not fit into a smallint.
_SMALL = {
    *("generation", "storage_gb", "damage_severity_ai", "damage_binary_ai", "review_count"),
    *("storage_gb_fixed_ai", "image_count", "n_color_votes", "model_effective_generation"),
}
# A score of 1e-300, which the odd rows have, does not fit into a real.
_REAL = {
    *("condition_score", "battery_pct_fixed_ai", "seller_rating"),
    *("color_primary_vote_share", "color_vote_margin_share"),
}
_DURATIONS = {"sold_date", "last_seen"}


@pytest.fixture
def with_types(server: Server, settings: Settings, store_files: Store) -> Iterator[LiveStore]:
    """A database without the store, whose sources may still be altered."""
    settings = replace(settings, zone="Europe/Oslo")
    store = LiveStore(server.create_database("types", "sources_only"), store_files, settings)
    yield store
    store.close()
    server.drop_database("types")


def _alter(store: LiveStore, kind: str) -> None:
    for source in read_sources(store.settings.include_dir / "sources.toml"):
        for column, family in source.columns.items():
            wanted = _BECOMES.get(kind, {}).get(family)
            if kind == "narrow" and column in _SMALL:
                wanted = "smallint"
            if kind == "narrow" and column in _REAL:
                wanted = "real"
            if kind == "mixed" and column in _DURATIONS:
                wanted = "timestamp"
            if wanted:
                store.connection.execute(
                    sql.SQL("ALTER TABLE {} ALTER {} TYPE {}").format(
                        source.name.identifier, sql.Identifier(column), sql.SQL(wanted)
                    )
                )


def test_a_contract_names_the_features_whose_sources_are_whole_numbers(
    with_types: LiveStore,
) -> None:
    whole = ("condition_score", "battery_pct_fixed_ai", "seller_rating")
    for column in whole:
        with_types.connection.execute(
            f'ALTER TABLE "iPhone".iphone_listings ALTER {column} TYPE integer'.encode()
        )
    apply(with_types.connection, with_types.files, with_types.settings)
    (tom,) = (s for s in read_feature_sets(with_types.settings.include_dir) if "tom" in s.name)
    with pytest.raises(ContractBroken, match="integer_columns names the features of dtype") as told:
        stamp(with_types.connection, tom, replace=False)
    assert len(told.value.items) == 2
    stamp(with_types.connection, replace(tom, integer_columns=whole), replace=False)


@pytest.mark.parametrize("kind", ["wide", "narrow", "floats", "mixed"])
def test_a_true_store_agrees_whatever_types_its_sources_have(
    with_types: LiveStore, kind: str
) -> None:
    _alter(with_types, kind)
    apply(with_types.connection, with_types.files, with_types.settings)
    load_sources(with_types, generate(PROFILES[0], 1))
    assert specification_problems(with_types.connection, with_types.files) == []
    for relation in with_types.files.relations:
        done = compare_stored(with_types.connection, relation)
        assert (done.broken, done.sample) == (0, ()), relation.name
    for feature_set in read_feature_sets(with_types.settings.include_dir):
        stamp(with_types.connection, feature_set, replace=False)
        assert feature_set.served
        types = live_columns(with_types.connection, feature_set.relation)
        columns = [Column(f.name, types[f.name]) for f in feature_set.features]
        _, _, sampled = sample(with_types.connection, feature_set, feature_set.served, columns)
        bins = {c.name: Bins(sampled[c.name].cuts, None if c.is_number else ()) for c in columns}
        assert months(with_types.connection, feature_set, feature_set.served, columns, bins)
