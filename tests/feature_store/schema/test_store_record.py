"""One database has one store: apply writes down which, and no command takes it for another."""

from __future__ import annotations

import pytest

from feature_store.errors import BadInput, NotReady
from feature_store.schema.apply import apply
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.readiness import check_ready
from feature_store.schema.store_record import recorded


def _plan(database, include):
    return make_plan(database.connection, include.store, include.directory)


def test_apply_writes_down_what_store_toml_says(scratch, include):
    assert recorded(scratch.connection).name == "iphone"
    include.edit("store.toml", '"feature store"', '"Phones"')
    assert "what store.toml says, in the record" in str(_plan(scratch, include))
    with pytest.raises(NotReady, match=r"Missing: what store\.toml says, in the record"):
        check_ready(scratch.connection, include.store, include.settings)
    apply(scratch.connection, include.store, include.settings)
    assert recorded(scratch.connection).title == "Phones"
    assert _plan(scratch, include).empty


NAME = ('name = "iphone"', 'name = "bikes"')
DAG = ('dag_id = "feature_store_refresh"', 'dag_id = "bikes"')


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (NAME, "This database has the store iphone, of the DAG feature_store_refresh; these files"),
        (DAG, "The DAG feature_store_refresh keeps the store of this database; these files"),
    ],
    ids=["name", "dag_id"],
)
def test_a_database_with_another_store_is_refused_and_not_touched(store_db, include, change, words):
    include.edit("store.toml", *change)
    before = store_db.snapshot()
    for refused in (apply, check_ready):
        with pytest.raises(NotReady) as caught:
            refused(store_db.connection, include.store, include.settings)
        assert words in caught.value.problem
    assert store_db.snapshot() == before


@pytest.mark.parametrize("change", [NAME, DAG], ids=["name", "dag_id"])
def test_the_command_that_renames_a_store_or_its_dag_does(scratch, include, change):
    include.edit("store.toml", *change)
    with pytest.raises(NotReady) as caught:
        _plan(scratch, include)
    scratch.run(caught.value.next_step.rpartition("as the owner: ")[2])
    assert _plan(scratch, include).empty


def test_a_schema_that_the_server_would_quote_is_refused_before_any_work(scratch_sources, include):
    include.edit("store.toml", '["ml", "feature_store"]', '["ml", "feature_store", "order"]')
    with pytest.raises(BadInput, match="The schema order must be quoted in SQL"):
        apply(scratch_sources.connection, include.store, include.settings)
    assert scratch_sources.value("SELECT to_regnamespace('ml') IS NULL")
