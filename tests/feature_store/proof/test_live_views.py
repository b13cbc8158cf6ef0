"""Which plain views read the user's tables: the catalog says it, not only their files."""

from __future__ import annotations

import pytest

from feature_store.proof.live_views import is_live, live_below, read_states
from tests.relations import F3, E

_COHORT = "ml.tom_speed_cohort_v1"  # its file reads E alone
_LISTINGS = "iPhone.iphone_listings"


@pytest.fixture
def adopted(scratch):
    """The cohort's view as an owner may have it: it counts listings at the moment it is read."""
    query = scratch.value("SELECT pg_get_viewdef(%s::regclass)", _COHORT).rstrip(";")
    scratch.run(
        f"CREATE OR REPLACE VIEW {_COHORT} AS SELECT q.* FROM ({query}) AS q "
        'WHERE 0 < (SELECT count(*) FROM "iPhone".iphone_listings)'
    )
    return scratch


def test_a_view_that_reads_layers_alone_is_not_live(scratch, store_files):
    cohort = store_files.find(_COHORT)
    assert not is_live(scratch.connection, cohort)
    assert read_states(scratch.connection, cohort) is None
    assert live_below(scratch.connection, store_files, [cohort.name]) == ()


def test_an_adopted_view_that_reads_a_table_is_live_whatever_its_file_reads(adopted, store_files):
    cohort = store_files.find(_COHORT)
    assert is_live(adopted.connection, cohort)
    assert live_below(adopted.connection, store_files, [cohort.name]) == (cohort,)
    before = read_states(adopted.connection, cohort)
    assert list(before) == [_LISTINGS]
    adopted.run('INSERT INTO "iPhone".iphone_listings (generation, listing_id) VALUES (13, 1)')
    assert read_states(adopted.connection, cohort) != before


def test_a_view_below_it_is_found_in_the_catalog_too(adopted, store_files):
    f3, cohort = store_files.find(F3), store_files.find(_COHORT)
    query = adopted.value("SELECT pg_get_viewdef(%s::regclass)", F3).rstrip(";")
    adopted.run(
        f"CREATE OR REPLACE VIEW {F3} AS SELECT q.* FROM ({query}) AS q "
        f"WHERE EXISTS (SELECT FROM {_COHORT})"
    )
    assert cohort in live_below(adopted.connection, store_files, [f3.name])
    assert live_below(adopted.connection, store_files, [store_files.find(E).name]) == ()
