"""The state of each object: file now, file when applied, server then, server now."""

from __future__ import annotations

import pytest

from feature_store.audit.adopted import ADOPTED
from feature_store.schema.apply import apply
from feature_store.schema.object_states import Condition, State, examine, has_audit
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.store_objects import store_objects
from tests.relations import D1 as _D1
from tests.relations import F0 as _F0
from tests.relations import F3 as _F3

_ML = "the feature contracts of ml"
_REGISTRY = "the contract registry of ml"
_GOVERNANCE = "governance/feature_contract.sql"
_D1_FILE = f"sql/base/{_D1}.sql"


def _examine(database, include) -> dict[str, Condition]:
    things = store_objects(include.store, include.directory)
    return {c.thing.label: c for c in examine(database.connection, things)}


def _only(conditions: dict[str, Condition], label: str) -> Condition:
    """The condition of the only object that differs from its file."""
    assert [k for k, c in conditions.items() if c.state is not State.AS_FILE] == [label]
    return conditions[label]


def test_before_apply_everything_is_missing_and_there_is_no_audit_schema(scratch_sources, include):
    conditions = _examine(scratch_sources, include)
    assert {c.state for c in conditions.values()} == {State.MISSING}
    assert len(conditions) == len(include.store.relations) + 8
    assert not has_audit(scratch_sources.connection)


def test_after_apply_everything_is_as_its_file(scratch, include):
    conditions = _examine(scratch, include)
    assert {(c.state, c.details, c.dictionary_differs) for c in conditions.values()} == {
        (State.AS_FILE, "", False)
    }
    assert has_audit(scratch.connection)


def test_after_a_refresh_everything_is_still_as_its_file(scratch, include):
    for relation in include.store.refreshed:
        scratch.run(f"REFRESH MATERIALIZED VIEW {relation.name}")
    assert {c.state for c in _examine(scratch, include).values()} == {State.AS_FILE}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SELECT", "SELECT -- what for\n   "),
        ("FROM", "from"),
        ("l.generation,", "L.Generation  ,"),
        ("-- Relation:", "-- Another header:"),
        (";", "\n;"),
    ],
)
def test_a_comment_white_space_or_keyword_case_is_no_change(scratch, include, old, new):
    include.edit(_D1_FILE, old, new)
    assert {c.state for c in _examine(scratch, include).values()} == {State.AS_FILE}


def test_a_line_break_between_two_keywords_is_no_change(scratch, include):
    include.edit("sql/base/ml.ask_daily_median_v1.sql", "GROUP BY", "GROUP\n    BY")
    include.edit("sql/base/ml.ask_daily_median_v1.sql", "(ORDER BY", "(ORDER  BY")
    assert {c.state for c in _examine(scratch, include).values()} == {State.AS_FILE}


@pytest.mark.parametrize(
    ("old", "new", "details"),
    [
        ("3600.0", "60.0", "[-3600.0-] {+60.0+}"),
        ("l.edited_date IS NOT NULL", "TRUE", "{+true+}"),
        ("sold_day);", "sold_day DESC);", "{+desc+}"),
    ],
)
def test_a_real_change_of_the_file_is_seen_and_shown(scratch, include, old, new, details):
    include.edit(_D1_FILE, old, new)
    condition = _only(_examine(scratch, include), _D1)
    assert condition.state is State.OUTDATED
    assert details in condition.details


def test_a_new_index_in_the_file_is_a_change_of_the_file(scratch, include):
    include.edit(_D1_FILE, "COMMENT", f"CREATE INDEX more_idx ON {_D1} (listing_id);\nCOMMENT")
    condition = _only(_examine(scratch, include), _D1)
    assert condition.state is State.OUTDATED
    assert "more_idx" in condition.details


def test_a_changed_message_of_the_contract_function_is_a_change_of_the_file(
    scratch, include, package
):
    package.edit(_GOVERNANCE, "feature_set % not found", "Feature_Set % not found")
    states = {k: c.state for k, c in _examine(scratch, include).items()}
    assert states[_ML] is State.OUTDATED


def test_a_changed_text_of_a_comment_is_no_change_of_the_definition(scratch, include):
    include.edit(_D1_FILE, "The sold listing.", "What was sold.")
    conditions = _examine(scratch, include)
    assert {c.state for c in conditions.values()} == {State.AS_FILE}
    assert [k for k, c in conditions.items() if c.dictionary_differs] == [_D1]


@pytest.mark.parametrize(
    ("label", "statements", "details"),
    [
        (_D1, ["DROP INDEX ml.sold_dur_v1_idx"], "sold_dur_v1_idx"),
        (
            _D1,
            [
                "DROP INDEX ml.sold_dur_v1_idx",
                f"CREATE INDEX sold_dur_v1_idx ON {_D1} (sold_day)",
            ],
            "sold_day",
        ),
        (_F3, [f"ALTER VIEW {_F3} SET (security_invoker = true)"], "security_invoker"),
        (_F0, [f"ALTER MATERIALIZED VIEW {_F0} RENAME COLUMN model TO model_name"], "model_name"),
        (_F3, [f"DROP VIEW {_F3}", f"CREATE VIEW {_F3} AS SELECT 1 AS one"], "one"),
        (
            _ML,
            [
                "CREATE OR REPLACE FUNCTION ml.assert_feature_contract(p_set text) RETURNS void "
                "LANGUAGE sql AS 'SELECT NULL::void'"
            ],
            "SELECT",
        ),
        (
            _REGISTRY,
            ["ALTER TABLE ml.feature_contract ADD COLUMN more text"],
            "feature_contract.more",
        ),
    ],
)
def test_an_alteration_in_the_database_is_seen_and_shown(
    scratch, include, label, statements, details
):
    scratch.run(*statements)
    conditions = _examine(scratch, include)
    assert conditions[label].state is State.DRIFTED
    assert details in conditions[label].details


_STORAGE = (
    f"ALTER MATERIALIZED VIEW {_D1} SET (autovacuum_enabled = off, fillfactor = 90)",
    "ALTER INDEX ml.sold_dur_v1_idx SET (fillfactor = 80, deduplicate_items = off)",
)


def test_an_option_that_decides_no_row_is_no_alteration(scratch, include):
    scratch.run(*_STORAGE)
    assert {c.state for c in _examine(scratch, include).values()} == {State.AS_FILE}


@pytest.mark.parametrize("mark", ["", ADOPTED])
def test_what_an_earlier_version_recorded_of_such_options_still_holds(scratch, include, mark):
    """It recorded them with the rest; an adopted relation would have to be adopted anew."""
    was = scratch.value(
        "SELECT live_definition FROM feature_store_audit.definition WHERE object = %s", _D1
    )
    index = scratch.value("SELECT pg_get_indexdef('ml.sold_dur_v1_idx'::regclass)")
    assert "\noptions None\n" in was
    assert index in was
    scratch.run(*_STORAGE)
    more = scratch.value("SELECT pg_get_indexdef('ml.sold_dur_v1_idx'::regclass)")
    assert more != index
    then = was.replace("options None", "options {autovacuum_enabled=off,fillfactor=90}")
    scratch.connection.execute(
        "UPDATE feature_store_audit.definition SET live_definition = %s, "
        "file_definition = %s || file_definition WHERE object = %s",
        (then.replace(index, more), mark, _D1),
    )
    state = State.ADOPTED if mark else State.AS_FILE
    assert _examine(scratch, include)[_D1].state is state
    scratch.run(f"ALTER MATERIALIZED VIEW {_D1} RESET (fillfactor)")
    assert _examine(scratch, include)[_D1].state is state


def test_a_table_in_a_relations_place_is_no_alteration_of_the_relation(scratch, include):
    scratch.run(f"DROP VIEW {_F3}", f"CREATE TABLE {_F3} (x int)")
    condition = _only(_examine(scratch, include), _F3)
    assert condition.state is State.IN_THE_WAY
    assert condition.details == "it is of this kind: table"


def test_a_renamed_column_shows_in_the_view_and_not_in_the_views_above(scratch, include):
    scratch.run(f"ALTER MATERIALIZED VIEW {_D1} RENAME COLUMN duration_hours TO hours")
    conditions = _examine(scratch, include)
    assert conditions[_D1].state is State.DRIFTED
    assert "{+hours+}" in conditions[_D1].details


def test_an_invalid_index_is_an_alteration(scratch, include):
    scratch.run(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ml.sold_dur_v1_idx'::regclass"
    )
    condition = _only(_examine(scratch, include), _D1)
    assert condition.state is State.DRIFTED
    assert "{+INVALID+}" in condition.details


def test_a_users_extra_index_does_not_count(scratch, include):
    scratch.run(f"CREATE INDEX users_own ON {_D1} (listing_id)")
    assert {c.state for c in _examine(scratch, include).values()} == {State.AS_FILE}


def test_grants_do_not_count(scratch, include):
    scratch.run(f"GRANT SELECT ON {_D1} TO public")
    assert {c.state for c in _examine(scratch, include).values()} == {State.AS_FILE}


@pytest.mark.parametrize(
    ("label", "statements", "details"),
    [
        (
            _D1,
            ["CREATE SCHEMA ml", f"CREATE MATERIALIZED VIEW {_D1} AS SELECT 1 AS generation"],
            "it lacks listing_id, storage_gb, sold_day, duration_hours",
        ),
        (
            _D1,
            [
                "CREATE SCHEMA ml",
                f"CREATE MATERIALIZED VIEW {_D1} AS SELECT listing_id, generation, storage_gb, "
                'edited_date AS sold_day, 1 AS duration_hours FROM "iPhone".iphone_listings',
            ],
            "its column sold_day is timestamp with time zone, not date\n"
            "its column duration_hours is integer, not numeric",
        ),
        (
            _F3,
            [f"CREATE MATERIALIZED VIEW {_F3} AS SELECT 1::bigint AS listing_id"],
            "it is no plain view",
        ),
        (
            _REGISTRY,
            ["CREATE SCHEMA ml", "CREATE TABLE ml.feature_set_binding (set_id text)"],
            "ml.feature_set_binding.set_id has the type text, not bigint.\n"
            "ml.feature_set_binding has no column relation_name (text).\n"
            "ml.feature_set_binding has no column other_columns (text[]).\n"
            "ml.feature_set_binding has no column integer_columns (text[]).",
        ),
    ],
)
def test_what_was_there_before_us_and_is_different_cannot_be_adopted(
    scratch_sources, include, label, statements, details
):
    scratch_sources.run(*statements)
    condition = _examine(scratch_sources, include)[label]
    assert condition.state is State.FOREIGN
    assert condition.details == details


def test_a_governance_file_of_which_a_part_was_dropped_is_incomplete(scratch, include):
    scratch.run("DROP FUNCTION ml.assert_feature_contract")
    assert _only(_examine(scratch, include), _ML).state is State.INCOMPLETE


def test_a_function_of_our_name_with_other_arguments_is_not_ours(scratch, include):
    scratch.run(
        "CREATE FUNCTION ml.assert_feature_contract(x int) RETURNS void "
        "LANGUAGE sql AS 'SELECT NULL::void'"
    )
    assert {c.state for c in _examine(scratch, include).values()} == {State.AS_FILE}


def test_what_was_dropped_by_hand_is_missing(scratch, include):
    scratch.run(f"DROP VIEW {_F3}")
    assert _only(_examine(scratch, include), _F3).state is State.MISSING


def test_what_was_dropped_and_made_again_by_hand_is_altered(scratch, include):
    scratch.run(f"DROP VIEW {_F3}", f"CREATE MATERIALIZED VIEW {_F3} AS SELECT 1 AS x")
    assert _only(_examine(scratch, include), _F3).state is State.DRIFTED


def test_the_state_does_not_depend_on_who_looks(store_db, include, new_role):
    role = new_role()
    store_db.run(
        f"GRANT USAGE ON SCHEMA feature_store_audit TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA feature_store_audit TO {role}",
    )
    things = store_objects(include.store, include.directory)
    with store_db.session(role) as connection:
        assert {c.state for c in examine(connection, things)} == {State.AS_FILE}


def test_examining_alters_nothing(store_db, include):
    include.edit(_D1_FILE, "3600.0", "60.0")
    before = store_db.snapshot()
    store_db.run("BEGIN READ ONLY")
    _examine(store_db, include)
    store_db.run("ROLLBACK")
    assert store_db.snapshot() == before


def test_objects_stand_in_an_order_in_which_they_can_be_created(scratch_sources, include):
    apply(scratch_sources.connection, include.store, include.settings)
    assert make_plan(scratch_sources.connection, include.store, include.directory).empty


def test_another_major_version_may_word_a_query_in_its_own_way(scratch, include):
    """PostgreSQL 16 and later leave out table names that 15 writes."""
    scratch.run(
        "UPDATE feature_store_audit.definition SET server_major = 14, live_definition = "
        "regexp_replace(live_definition, 'query:.*end of query', E'query:\\nelse\\nend of query') "
        "WHERE object = 'ml.tom_features_v1_mv'"
    )
    things = store_objects(include.store, include.directory)
    states = {c.thing.label: c.state for c in examine(scratch.connection, things)}
    assert states["ml.tom_features_v1_mv"] is State.AS_FILE
    scratch.run("DROP INDEX ml.tfeat_v1_listing_uq")
    states = {c.thing.label: c.state for c in examine(scratch.connection, things)}
    assert states["ml.tom_features_v1_mv"] is State.DRIFTED
