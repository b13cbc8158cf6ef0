"""The one registry of feature sets, also in schemas that once had tables of their own."""

from __future__ import annotations

import pytest

from feature_store.errors import NotReady
from feature_store.schema.apply import apply
from feature_store.schema.planning.plan import make_plan

SHOWN = ("feature_set", "feature_contract", "feature_set_binding", "feature_set_current")
NAMES = [f"feature_store.{name}" for name in SHOWN]
ACTIVE = (
    "SELECT s.name FROM feature_store.feature_set_current AS c "
    "INNER JOIN ml.feature_set AS s ON c.set_id = s.set_id"
)


@pytest.fixture
def apart(scratch, new_role):
    """The store as version 0.9 left it: a registry in each schema, with one set in each."""
    role = new_role()
    scratch.run(
        "DROP VIEW feature_store.feature_set, feature_store.feature_contract, "
        "feature_store.feature_set_binding",
        "DROP TABLE feature_store.feature_set_current",
        *(f"CREATE TABLE feature_store.{table} (LIKE ml.{table} INCLUDING ALL)" for table in SHOWN),
        *(
            f"ALTER TABLE feature_store.{table} ADD FOREIGN KEY (set_id) "
            "REFERENCES feature_store.feature_set (set_id)"
            for table in SHOWN[1:]
        ),
        "INSERT INTO ml.feature_set (name, features_hash) VALUES ('theirs', 'a')",
        "INSERT INTO feature_store.feature_set (name, features_hash) VALUES ('ours', 'b')",
        "INSERT INTO feature_store.feature_contract (set_id, ordinal, feature_name, dtype) "
        "VALUES (1, 1, 'price', 'int')",
        "INSERT INTO feature_store.feature_set_binding (set_id, relation_name) VALUES (1, 'ml.x')",
        "INSERT INTO feature_store.feature_set_current (set_id) VALUES (1)",
        f"GRANT SELECT ON feature_store.feature_contract TO {role}",
        f"GRANT SELECT (set_id) ON feature_store.feature_set_binding TO {role}",
        "DELETE FROM feature_store_audit.definition "
        "WHERE object = 'the contract registry of feature_store'",
    )
    scratch.role = role
    return scratch


def _apply(database, include, replace=()):
    return apply(database.connection, include.store, include.settings, replace)


def test_tables_of_before_are_blocked_and_named_in_one_command(apart, include):
    plan = make_plan(apart.connection, include.store, include.directory)
    (blocked,) = plan.blocked
    assert blocked.thing.label == "the contract registry of feature_store"
    assert f"--replace {' '.join(NAMES)}" in str(plan)
    with pytest.raises(NotReady, match="a table of its own"):
        _apply(apart, include)


def test_named_they_give_their_sets_to_the_registry(apart, include):
    _apply(apart, include, NAMES)
    for schema in ("ml", "feature_store"):
        found = apart.rows(
            "SELECT s.name, s.features_hash, c.feature_name, b.relation_name "
            f"FROM {schema}.feature_set AS s "
            f"LEFT JOIN {schema}.feature_contract AS c ON s.set_id = c.set_id "
            f"LEFT JOIN {schema}.feature_set_binding AS b ON s.set_id = b.set_id ORDER BY s.name"
        )
        assert found == [("ours", "b", "price", "ml.x"), ("theirs", "a", None, None)]
    assert apart.rows(ACTIVE) == [("ours",)]
    may = f"SELECT has_table_privilege('{apart.role}', 'feature_store.feature_contract', 'SELECT')"
    assert apart.value(may)
    column = "'feature_store.feature_set_binding', 'set_id', 'SELECT'"
    assert apart.value(f"SELECT has_column_privilege('{apart.role}', {column})")
    assert make_plan(apart.connection, include.store, include.directory).empty


def test_some_of_them_alone_cannot_be_named(apart, include):
    with pytest.raises(NotReady, match="a table of its own"):
        _apply(apart, include, NAMES[:1])


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("INSERT INTO ml.feature_set (name) VALUES ('ours')", "both have ours"),
        (
            "ALTER TABLE feature_store.feature_set ADD owner text",
            "columns that .* does not have: owner",
        ),
        (
            "CREATE VIEW ml.mine AS SELECT * FROM feature_store.feature_set",
            "cannot be made a view.*ml.mine",
        ),
    ],
)
def test_what_would_be_lost_is_refused_and_nothing_moved(apart, include, there, words):
    apart.run(there)
    before = apart.snapshot()
    with pytest.raises(NotReady, match=f"(?s){words}"):
        _apply(apart, include, NAMES)
    assert apart.snapshot() == before


def test_a_registry_that_was_there_before_us_stays_until_it_is_named(apart, include):
    apart.run(
        "DELETE FROM feature_store_audit.definition WHERE object LIKE '%of feature_store'",
        "DROP FUNCTION feature_store.check_feature_contract, feature_store.assert_feature_contract",
    )
    plan = _apply(apart, include)
    assert "keeps your feature_store.feature_set, a table of its own" in str(plan)
    assert apart.value("SELECT count(*) FROM feature_store.feature_set") == 1
    again = make_plan(apart.connection, include.store, include.directory)
    assert again.empty
    assert not again.blocked
    _apply(apart, include, NAMES)
    assert apart.rows(ACTIVE) == [("ours",)]


def test_a_name_that_is_unique_only_at_the_end_of_a_transaction_is_not_enough(scratch, include):
    """No stamp could say ON CONFLICT of it."""
    key = scratch.value(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'ml.feature_set'::regclass "
        "AND contype = 'u'"
    )
    scratch.run(
        f"ALTER TABLE ml.feature_set DROP CONSTRAINT {key}, ADD UNIQUE (name) DEFERRABLE",
        "DELETE FROM feature_store_audit.definition WHERE object = 'the contract registry of ml'",
    )
    plan = make_plan(scratch.connection, include.store, include.directory)
    assert "ml.feature_set.name has no unique index of its own" in str(plan)


def test_a_view_that_was_altered_since_is_named_and_mended(scratch, include):
    scratch.run(
        "CREATE OR REPLACE VIEW feature_store.feature_set AS SELECT * FROM ml.feature_set "
        "WHERE set_id > 1"
    )
    plan = make_plan(scratch.connection, include.store, include.directory)
    assert "--replace feature_store.feature_set" in str(plan)
    _apply(scratch, include, ["feature_store.feature_set"])
    assert make_plan(scratch.connection, include.store, include.directory).empty
