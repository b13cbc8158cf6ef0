"""The first start creates and stamps a store; where there is one, it changes nothing."""

from __future__ import annotations

import pytest

from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.errors import ContractBroken, NotReady
from feature_store.schema.first_start import bootstrap
from feature_store.schema.stamps.contract_stamp import check


def _bootstrap(database, include) -> bool:
    return bootstrap(database.connection, include.store, include.settings)


def test_a_database_with_nothing_but_sources_gets_a_store_with_its_contracts_stamped(
    sources_db, include
):
    assert _bootstrap(sources_db, include)

    for feature_set in read_feature_sets(include.directory):
        assert check(sources_db.connection, feature_set).result == "OK"


def test_a_store_that_is_there_is_left_as_it_is_even_if_it_is_incomplete(store_db, include):
    store_db.connection.execute("DROP VIEW feature_store.device_meta_encoded_t0_v1")
    before = store_db.snapshot()

    assert not _bootstrap(store_db, include)

    assert store_db.snapshot() == before
    (_, unstamped) = read_feature_sets(include.directory)
    assert check(store_db.connection, unstamped).stamped_hash is None


def test_without_sources_there_is_one_clear_error_and_nothing_is_created(empty_db, include):
    before = empty_db.snapshot()

    with pytest.raises(NotReady, match="iphone_listings"):
        _bootstrap(empty_db, include)

    assert empty_db.snapshot() == before


def test_a_contract_that_cannot_be_stamped_leaves_no_store_behind(sources_db, include):
    # The relation now has a column that the contract does not mention.
    include.edit("contracts/tom_features_v1.toml", '"title", ', "")
    before = sources_db.snapshot()

    with pytest.raises(ContractBroken, match="title"):
        _bootstrap(sources_db, include)

    assert sources_db.snapshot() == before
