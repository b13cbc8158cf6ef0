"""plan tells what apply will do; apply does all of it in one transaction, or nothing."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from feature_store.audit.lease import RunKey, hold_lease, take_lease
from feature_store.database.session import pin
from feature_store.errors import BadInput, LeaseTaken, NotReady
from feature_store.schema.apply import apply
from feature_store.schema.planning import contract_effects
from feature_store.schema.planning.plan import Plan, make_plan
from tests.relations import D1 as _D1
from tests.relations import F3 as _F3
from tests.relations import A as _A

_D1_FILE = f"sql/base/{_D1}.sql"
_F3_FILE = f"sql/views/{_F3}.sql"
_AUDIT_FILE = "sql/audit/0001_lease_and_refreshes.sql"
_NEW = "ml.new_v1"
_NIGHTLY = RunKey("feature_store_refresh", "scheduled__2026-06-30")


def _plan(database, include) -> Plan:
    return make_plan(database.connection, include.store, include.directory)


def _apply(database, include) -> Plan:
    return apply(database.connection, include.store, include.settings)


def _refused(database, include, kind: type = NotReady) -> Any:
    """Apply is refused and nothing is altered."""
    before = database.snapshot()
    with pytest.raises(kind) as caught:
        _apply(database, include)
    assert database.snapshot() == before, "nothing was altered"
    return caught.value


def _new_file(include) -> None:
    include.write(
        f"sql/views/{_NEW}.sql",
        f"CREATE VIEW {_NEW} AS SELECT s.listing_id FROM ml.spam_listings_v1 AS s;\n"
        f"COMMENT ON VIEW {_NEW} IS 'New.';",
    )


def _take(database, holder: RunKey = _NIGHTLY):
    return take_lease(database.connection, holder, lambda _: True, timedelta(0))


# Plan


def test_the_plan_of_an_empty_database_is_everything_and_changes_nothing(sources_db, include):
    before = sources_db.snapshot()
    sources_db.run("BEGIN READ ONLY")
    plan = _plan(sources_db, include)
    sources_db.run("ROLLBACK")
    assert sources_db.snapshot() == before
    labels = [f"  - {relation.name}" for relation in include.store.relations]
    assert str(plan).splitlines() == [
        f"To create: {3 + 1 + 8 + len(labels)}",
        "  - schema ml",
        "  - schema feature_store_audit",
        "  - schema feature_log",
        f"  - audit schema, steps 1 to {len(include.migrations)}",
        "  - the contract registry of ml",
        "  - the contract registry of feature_store",
        "  - the feature contracts of ml",
        "  - the feature contracts of feature_store",
        "  - the certification guard of ml",
        "  - the certification guard of feature_store",
        "  - the freshness guard of ml",
        "  - the freshness guard of feature_store",
        *labels,
        "In place, as their file: 0.",
    ]


def test_the_plan_of_an_applied_store_is_empty(scratch, include):
    plan = _plan(scratch, include)
    assert plan.empty
    assert str(plan) == f"In place, as their file: {include.objects}."


@pytest.mark.parametrize(
    ("break_it", "label", "state", "way_out"),
    [
        (
            "file",
            _D1,
            "its file has changed since it was applied",
            f"`bin/feature-store apply --replace {_D1}` builds it again beside the old one; or "
            "restore the file.",
        ),
        (
            "database",
            _D1,
            "altered in the database since it was applied",
            f"undo the change in the database, or `bin/feature-store apply --replace {_D1}`.",
        ),
        (
            "before us",
            _NEW,
            "not created by apply, and different",
            f"`bin/feature-store apply --replace {_NEW}` builds the file's version beside it and "
            "swaps them; or rename it yourself.",
        ),
    ],
)
def test_what_is_not_as_its_file_is_blocked_named_and_untouched(
    scratch, include, break_it, label, state, way_out
):
    if break_it == "file":
        include.edit(_D1_FILE, "3600.0", "60.0")
    elif break_it == "database":
        scratch.run("DROP INDEX ml.sold_dur_v1_idx")
    else:
        _new_file(include)
        scratch.run(f"CREATE MATERIALIZED VIEW {_NEW} AS SELECT 1 AS mine")
    text = str(_plan(scratch, include))
    assert text.startswith("Blocked: 1 not as their file.\n")
    assert f"  - {label}: {state}\n" in text
    assert f"    Next: {way_out}\n" in text
    error = _refused(scratch, include)
    assert error.problem.startswith(f"Nothing was applied:\n  - {label}: {state}\n")
    assert way_out in error.problem
    assert error.readers == "what they had before."


def test_several_changed_files_have_one_command_that_replaces_them_all(scratch, include):
    include.edit(_D1_FILE, "3600.0", "60.0")
    include.edit(
        "sql/base/ml.ask_daily_median_v1.sql", "percentile_cont(0.5)", "percentile_cont(0.6)"
    )
    plan = str(_plan(scratch, include))
    command = "bin/feature-store apply --replace ml.ask_daily_median_v1 ml.sold_durations_v1_mv"
    assert plan.count(command) == plan.count("apply --replace") == 1
    assert plan.count("Next: restore the file, or replace it by the command below.") == 2
    assert f"\nAll at once: `{command}`\n" in plan, "after the list"
    assert str(_refused(scratch, include)).count(f"All at once: `{command}`") == 1
    names = command.split("--replace ")[1].split()
    done = apply(scratch.connection, include.store, include.settings, names)
    assert len(done.replaces) == 2


def test_whatever_stands_in_the_way_one_command_names_all_of_it(scratch, include):
    """With a command for each, each would be refused because of the others."""
    d2, d3 = "ml.ask_daily_median_v1", "ml.sold_prices_v1_mv"
    include.edit(_D1_FILE, "3600.0", "60.0")
    scratch.run("DROP INDEX ml.sold_prices_v1_idx")
    _new_file(include)
    scratch.run(f"CREATE MATERIALIZED VIEW {_NEW} AS SELECT 1 AS mine")
    names = {_D1, d3, _NEW}

    def told(*replace: str) -> set[frozenset[str]]:
        text = str(make_plan(scratch.connection, include.store, include.directory, replace))
        return {frozenset(c.split()) for c in re.findall(r"apply --replace ([^`]*)`", text)}

    assert told() == {frozenset(names)}
    assert told(d2) == {frozenset({*names, d2})}, "what was named is not forgotten"
    assert told(*names) == set()
    done = apply(scratch.connection, include.store, include.settings, sorted(names))
    assert {thing.label for thing in done.replaces} == names
    assert _plan(scratch, include).empty


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        (f"CREATE TABLE {_D1} (x int)", "table"),
        (f"CREATE SEQUENCE {_D1}", "sequence"),
        ("CREATE INDEX sold_durations_v1_mv ON ml.feature_set (author)", "index"),
        (f"CREATE TYPE {_D1} AS (x int)", "composite type"),
    ],
)
def test_what_is_no_view_in_a_relations_place_is_never_told_to_be_replaced(
    scratch, include, statement, kind
):
    scratch.run(f"DROP MATERIALIZED VIEW {_D1} CASCADE", statement)
    problems = _plan(scratch, include).problems
    (told,) = [words for words in problems if words.startswith(f"{_D1}:")]
    assert told == (
        f"{_D1}: something that is no view has its name\nit is of this kind: {kind}\n"
        "Next: rename it yourself, then `bin/feature-store apply`."
    )


def test_one_blocked_object_keeps_all_others_from_being_created(scratch, include):
    scratch.run(f"DROP VIEW {_F3}", "DROP INDEX ml.sold_dur_v1_idx")
    _refused(scratch, include)
    assert scratch.value("SELECT to_regclass(%s)", _F3) is None


# Apply


def test_apply_creates_everything_empty_and_records_it(scratch_sources, include):
    done = _apply(scratch_sources, include)
    assert len(done.creates) == include.objects
    assert _plan(scratch_sources, include).empty
    populated = scratch_sources.rows(
        "SELECT relname FROM pg_class WHERE relkind = 'm' AND relispopulated"
    )
    assert populated == []
    recorded = scratch_sources.rows(
        "SELECT object, applied_by = current_user FROM feature_store_audit.definition"
    )
    assert {label for label, _ in recorded} == {thing.label for thing in done.creates}
    assert {by_us for _, by_us in recorded} == {True}
    assert scratch_sources.rows("SELECT version, name FROM feature_store_audit.migration") == [
        (m.version, m.name) for m in include.migrations
    ]


def test_apply_leaves_the_sources_as_they_are(scratch_sources, include):
    insert = 'INSERT INTO "iPhone".iphone_listings (listing_id, price) VALUES (1, 2)'
    scratch_sources.run(insert)
    before = scratch_sources.snapshot()
    _apply(scratch_sources, include)
    assert set(before) <= set(scratch_sources.snapshot())


def test_every_view_is_a_heap_whatever_the_databases_default_is(sources_db, include, settings):
    """The states of rows are read from how a heap keeps them, so no other view can be refreshed."""
    name = sql.Identifier(sources_db.connection.info.dbname).as_string()
    sources_db.run("CREATE ACCESS METHOD kept_elsewhere TYPE TABLE HANDLER heap_tableam_handler")
    sources_db.run(f"ALTER DATABASE {name} SET default_table_access_method = kept_elsewhere")
    with psycopg.connect(sources_db.conninfo, autocommit=True) as connection:
        pin(connection, settings, "tests")
        apply(connection, include.store, include.settings)
    kept = sources_db.rows(
        "SELECT DISTINCT a.amname FROM pg_class AS c INNER JOIN pg_am AS a ON c.relam = a.oid "
        "WHERE c.relkind = 'm'"
    )
    assert kept == [("heap",)]


def test_apply_twice_does_nothing_the_second_time(scratch_sources, include):
    _apply(scratch_sources, include)
    before = scratch_sources.snapshot()
    assert _apply(scratch_sources, include).empty
    assert scratch_sources.snapshot() == before


@pytest.mark.parametrize("last", ["sql/views/ml.zz_v1.sql", None])
def test_apply_is_one_transaction(scratch_sources, include, last):
    if last:  # the very last statement fails
        what = "ml.zz_v1 cannot be described"
        include.write(
            last,
            f"CREATE VIEW ml.zz_v1 AS SELECT e.listing_id FROM {_F3} AS e;"
            "COMMENT ON COLUMN ml.zz_v1.no_such_column IS 'x';",
        )
    else:  # a statement in the middle fails; its text does not show that
        what = f"{_F3} cannot be created"
        include.edit(_F3_FILE, "b.listing_id", "public.none(b.listing_id) AS listing_id")
    error = _refused(scratch_sources, include)
    assert error.problem.startswith(f"Nothing was applied: {what}: ")
    assert scratch_sources.value("SELECT to_regnamespace('ml')") is None
    assert scratch_sources.value("SELECT to_regnamespace('feature_store_audit')") is None


def test_what_was_dropped_by_hand_is_created_again_with_its_words(scratch, include):
    words = "SELECT obj_description(%s::regclass, 'pg_class')"
    had = scratch.value(words, _F3)
    scratch.run(f"DROP VIEW {_F3}")
    assert [thing.label for thing in _plan(scratch, include).creates] == [_F3]
    assert [thing.label for thing in _apply(scratch, include).creates] == [_F3]
    assert scratch.value(words, _F3) == had
    assert _plan(scratch, include).empty


def test_a_file_that_changed_is_applied_once_its_relation_was_dropped(scratch, include):
    include.edit(_F3_FILE, "(b.gen_key = 13)::int AS dev_gen_13", "1 AS dev_gen_13")
    _refused(scratch, include)
    scratch.run(f"DROP VIEW {_F3}")
    _apply(scratch, include)
    assert _plan(scratch, include).empty


def test_a_new_file_is_created_beside_what_is_there(scratch, include):
    before = {line for line in scratch.snapshot() if "feature_store_audit.definition" not in line}
    _new_file(include)
    assert [thing.label for thing in _apply(scratch, include).creates] == [_NEW]
    assert before <= set(scratch.snapshot())


def test_changed_words_are_planned_and_written_and_nothing_else(scratch, include):
    include.edit(_D1_FILE, "The sold listing.", "What was sold.")
    plan = _plan(scratch, include)
    assert not plan.empty
    assert str(plan) == (
        f"Comments to write: 1\n  - {_D1}\nIn place, as their file: {include.objects}."
    )
    oid = scratch.value("SELECT %s::regclass::oid", _D1)
    _apply(scratch, include)
    assert scratch.value("SELECT %s::regclass::oid", _D1) == oid
    assert scratch.value("SELECT col_description(%s::regclass, 1)", _D1) == (
        "What was sold. Only the speed anchor (D4) may join on it."
    )
    assert _plan(scratch, include).empty


def test_changed_words_of_the_contract_tables_are_written_in_both_schemas(
    scratch, include, package
):
    words = "Number of contract rows as they were stamped."
    for file in ("registry", "registry_shown"):
        package.edit(f"governance/{file}.sql", f"'{words}'", "'X'")
    _apply(scratch, include)
    for schema in ("ml", "feature_store"):
        told = "SELECT col_description(%s::regclass, 4)"
        assert scratch.value(told, f"{schema}.feature_set") == "X"
    assert _plan(scratch, include).empty


def test_a_new_version_of_functions_and_relations_is_one_command(scratch, include, package):
    guard = "governance/certification.sql"
    package.edit(guard, "'feature_set % not found'", "'feature_set % is not known'")
    functions = "ml.require_certified feature_store.require_certified"
    told = str(_plan(scratch, include))
    assert told.count("apply --replace") == 1
    assert f"\nAll at once: `bin/feature-store apply --replace {functions}`\n" in told
    include.edit(
        "sql/base/ml.sold_prices_v1_mv.sql", "l.generation,", "l.generation + 0 AS generation,"
    )
    told = str(_plan(scratch, include))
    (command,) = re.findall(r"`bin/feature-store apply --replace ([^`]*)`", told)
    assert set(command.split()) == {*functions.split(), "ml.sold_prices_v1_mv"}


def test_words_that_left_the_file_leave_the_database(scratch, include):
    include.edit(
        _D1_FILE,
        f"COMMENT ON COLUMN {_D1}.listing_id IS\n"
        "'The sold listing. Only the speed anchor (D4) may join on it.';",
        "",
    )
    _apply(scratch, include)
    assert scratch.value("SELECT col_description(%s::regclass, 1)", _D1) is None


def test_a_mistake_in_the_sql_of_a_new_relation_is_told_with_its_file(scratch, include):
    path = include.write(
        f"sql/views/{_NEW}.sql",
        f"CREATE VIEW {_NEW} AS SELECT\n    s.listing_id + 'x'::text AS listing_id\n"
        "FROM ml.spam_listings_v1 AS s;",
    )
    error = _refused(scratch, include)
    assert error.problem.startswith(
        f"Nothing was applied: {_NEW} cannot be created: operator does not exist: "
    )
    assert error.problem.endswith("It stands at: s.listing_id + 'x'::text AS listing_id.")
    assert error.readers == "what they had before."
    assert error.next_step == f"Correct {path}, then apply again."


def test_a_function_that_a_superuser_owns_is_told_with_how_to_own_it(sources_db, include, new_role):
    """Nobody could replace it: not the owner, and a superuser applies as the owner."""
    role = new_role()
    sources_db.run(
        f"GRANT CREATE ON DATABASE {sources_db.connection.info.dbname} TO {role}",
        f'GRANT USAGE ON SCHEMA "iPhone" TO {role}',
        f"GRANT USAGE, CREATE ON SCHEMA feature_store TO {role}",
        f'GRANT SELECT ON ALL TABLES IN SCHEMA "iPhone", feature_store TO {role}',
    )
    with sources_db.session(role) as connection:
        apply(connection, include.store, include.settings)
    function = sources_db.value(
        "SELECT p.oid::regprocedure::text FROM pg_proc AS p WHERE proname = 'store_freshness' "
        "AND pronamespace = 'ml'::regnamespace"
    )
    name = "ml.store_freshness"
    sources_db.run(
        f"ALTER FUNCTION {function} OWNER TO postgres",
        f"ALTER FUNCTION {function} SECURITY INVOKER",
    )
    for user in (role, None):
        with sources_db.session(user) as connection, pytest.raises(NotReady) as caught:
            apply(connection, include.store, include.settings, [name])
        assert f"{name} cannot be replaced: must be owner of function" in caught.value.problem
        assert caught.value.next_step == (
            f"As postgres or a superuser: ALTER FUNCTION {function} OWNER TO {role}; "
            "then apply again."
        )
    sources_db.run(f"ALTER FUNCTION {function} OWNER TO {role}")
    with sources_db.session(role) as connection:
        apply(connection, include.store, include.settings, [name])
        assert make_plan(connection, include.store, include.directory).empty


# Words


def test_every_relation_and_every_column_has_words(scratch):
    nameless = scratch.rows(
        """
        SELECT c.oid::regclass::text, a.attname
        FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
        LEFT JOIN pg_attribute AS a ON c.oid = a.attrelid AND a.attnum > 0
        WHERE n.nspname IN ('ml', 'feature_store') AND c.relkind IN ('m', 'v')
            AND (obj_description(c.oid, 'pg_class') IS NULL
                OR col_description(c.oid, a.attnum) IS NULL)
        """
    )
    assert nameless == []
    tables = scratch.rows(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^feature_(set|contract)' "
        "AND obj_description(oid, 'pg_class') IS NULL"
    )
    assert tables == []


def _words(database, column: str) -> dict[str, str]:
    """The words of a column, by each relation of ours that has it."""
    return dict(
        database.rows(
            "SELECT attrelid::regclass::text, col_description(attrelid, attnum) "
            "FROM pg_attribute INNER JOIN pg_class AS c ON attrelid = c.oid "
            "WHERE attname = %s AND relkind IN ('m', 'v')",
            column,
        )
    )


@pytest.mark.parametrize(
    ("column", "made_in"),
    [
        ("condition_score", _A),
        ("title", _A),
        ("ptv_final", "ml.tom_features_v1_enriched_mv"),
        ("speed_n_eff_ptv", "ml.tom_speed_anchor_v1_mv"),
        ("ask_median_price", "ml.ask_daily_median_v1"),
    ],
)
def test_a_column_that_passes_through_keeps_the_words_of_where_it_is_made(scratch, column, made_in):
    words = _words(scratch, column)
    assert len(words) >= 3
    assert set(words.values()) == {words[made_in]}


def test_changed_words_reach_every_layer_that_passes_the_column_on(scratch, include):
    include.edit(f"sql/base/{_A}.sql", "'Postal code that", "'POSTAL code that")
    _apply(scratch, include)
    assert {words[:6] for words in _words(scratch, "postal_code").values()} == {"POSTAL"}


def test_a_column_that_a_file_describes_itself_keeps_its_own_words(scratch):
    words = _words(scratch, "listing_id")
    assert words[_D1] != words[_A]
    assert words["ml.tom_features_v1_enriched_mv"] == words[_A]


# What must be there


def test_apply_on_missing_sources_is_refused(empty_db, include):
    error = _refused(empty_db, include)
    assert error.problem.splitlines() == [
        "Nothing was applied:",
        "  - The source table iPhone.iphone_listings is missing.",
        "  - The source table iPhone.iphone_ai_enrich is missing.",
        "  - The source table feature_store.device_image_features_unified_v1 is missing.",
    ]
    assert error.readers == "what they had before."


def test_apply_on_an_unsupported_server_is_refused(scratch_sources, include, monkeypatch):
    monkeypatch.setattr("feature_store.schema.readiness.SUPPORTED_SERVERS", (19, 20))
    error = _refused(scratch_sources, include)
    assert "The server is PostgreSQL" in error.problem
    assert "expected 19 to 20." in error.problem


def test_a_role_that_may_not_create_is_told_so(sources_db, include, new_role):
    before = sources_db.snapshot()
    role = new_role()
    with sources_db.session(role) as connection, pytest.raises(NotReady) as caught:
        apply(connection, include.store, include.settings)
    database = sources_db.connection.info.dbname
    assert caught.value.problem == (
        f"Nothing was applied: permission denied for database {database}."
    )
    assert caught.value.readers == "what they had before."
    assert caught.value.next_step == (
        "Apply as a role that may create here; `bin/feature-store grants` prints SQL for one."
    )
    assert sources_db.snapshot() == before


def test_a_role_that_may_not_see_the_audit_schema_is_told_so(store_db, include, new_role):
    before = store_db.snapshot()
    with store_db.session(new_role()) as connection, pytest.raises(NotReady) as caught:
        apply(connection, include.store, include.settings)
    assert "feature_store_audit" in caught.value.problem
    assert caught.value.next_step == "Apply as postgres, the owner of this store."
    assert store_db.snapshot() == before


def test_the_role_that_applies_owns_what_it_created(sources_db, include, new_role):
    role = new_role()
    sources_db.run(
        f"GRANT CREATE ON DATABASE {sources_db.connection.info.dbname} TO {role}",
        f'GRANT USAGE ON SCHEMA "iPhone" TO {role}',
        f"GRANT USAGE, CREATE ON SCHEMA feature_store TO {role}",
        f'GRANT SELECT ON ALL TABLES IN SCHEMA "iPhone", feature_store TO {role}',
    )
    with sources_db.session(role) as connection:
        apply(connection, include.store, include.settings)
    owners = sources_db.rows(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relkind IN ('m', 'v') "
        "AND relnamespace IN ('ml'::regnamespace, 'feature_store'::regnamespace)"
    )
    assert owners == [(role,)]


# The lease


def test_apply_is_refused_while_a_run_has_the_lease(scratch, include):
    _new_file(include)
    _take(scratch)
    error = _refused(scratch, include, LeaseTaken)
    assert error.problem.startswith(
        "The store's lease belongs to feature_store_refresh, run scheduled__2026-06-30, since 20"
    )
    assert error.next_step.startswith("Wait for that run to end, or stop it. If it has ended")


@pytest.mark.parametrize("silent", [False, True])
def test_apply_is_refused_while_a_refresh_works_under_the_lease(store_db, include, silent):
    _new_file(include)
    lease = _take(store_db)
    if silent:
        store_db.run("UPDATE feature_store_audit.lease SET seen_at = seen_at - interval '1 year'")
    with store_db.session() as worker, worker.transaction():
        hold_lease(worker, lease)
        error = _refused(store_db, include, LeaseTaken)
    assert error.problem == "Another run is working on the store at this moment."


@pytest.mark.parametrize(("silent_for", "goes"), [(890, False), (910, True)])
def test_apply_goes_through_when_the_holder_was_silent_for_the_grace(
    scratch, include, silent_for, goes
):
    _new_file(include)
    _take(scratch)
    scratch.run(
        f"UPDATE feature_store_audit.lease SET seen_at = now() - interval '{silent_for} seconds'"
    )
    if goes:
        assert [thing.label for thing in _apply(scratch, include).creates] == [_NEW]
    else:
        _refused(scratch, include, LeaseTaken)


def test_the_grace_is_the_settings(scratch, include):
    _new_file(include)
    _take(scratch)
    scratch.run("UPDATE feature_store_audit.lease SET seen_at = now() - interval '20 seconds'")
    apply(scratch.connection, include.store, replace(include.settings, lease_grace=10))
    assert _plan(scratch, include).empty


def test_apply_with_nothing_to_do_needs_no_lease(scratch, include):
    _take(scratch)
    assert _apply(scratch, include).empty


def test_a_first_apply_that_meets_another_waits_and_has_nothing_to_do(sources_db, include):
    _apply_into_a_running_apply(sources_db, include)


def test_an_apply_that_meets_another_waits_and_has_nothing_to_do(store_db, include):
    _new_file(include)
    _apply_into_a_running_apply(store_db, include)


def test_nobody_else_can_keep_apply_waiting(store_db, include, new_role):
    """Anybody may take an advisory lock. The record takes its locks from nobody but our roles."""
    _new_file(include)
    role = new_role()
    with store_db.session(role) as stranger:
        stranger.execute("SELECT pg_advisory_lock(hashtext('feature_store apply'))")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), stranger.transaction():
            stranger.execute("LOCK TABLE feature_store_audit.migration IN ACCESS SHARE MODE")
        assert [thing.label for thing in _apply(store_db, include).creates] == [_NEW]


def _apply_into_a_running_apply(database, include) -> None:
    """Apply twice at once: the second waits for the first, and then finds all in place."""
    store = include.store
    ends: list[Plan | BaseException] = []

    def second() -> None:
        with database.session() as connection:
            try:
                ends.append(apply(connection, store, include.settings))
            except Exception as error:
                ends.append(error)

    thread = threading.Thread(target=second)
    with database.session() as first:
        with first.transaction():
            apply(first, store, include.settings)
            thread.start()
            # Until the second waits for the first, or has given up.
            while thread.is_alive() and not database.rows(
                "SELECT 1 FROM pg_locks WHERE NOT granted"
            ):
                thread.join(0.02)
        thread.join()
    assert _plan(database, include).empty
    assert isinstance(ends[0], Plan), ends
    assert ends[0].empty


# Migrations


def test_a_database_of_a_newer_package_is_refused(scratch, include):
    known = len(include.migrations)
    scratch.run(f"INSERT INTO feature_store_audit.migration VALUES ({known + 1}, 'x')")
    error = _refused(scratch, include, BadInput)
    assert error.problem == (
        f"The audit schema is at version {known + 1}; this package has only {known} versions."
    )
    assert error.next_step == ("Use the newer version of the package that was used here before.")


def test_a_new_migration_runs_once(scratch, include, package):
    step = len(include.migrations) + 1
    more = f"audit/{step:04d}_more.sql"
    package.write(more, "CREATE TABLE feature_store_audit.more (x int);")
    assert f"audit schema, step {step}: more" in str(_plan(scratch, include))
    _apply(scratch, include)
    assert _plan(scratch, include).empty
    assert scratch.value("SELECT max(version) FROM feature_store_audit.migration") == step


@pytest.mark.parametrize("name", ["0099_gap.sql", "0001_again.sql", "more.sql", "2_more.sql"])
def test_a_migration_with_a_wrong_number_is_refused(scratch, include, package, name):
    path = package.write(f"audit/{name}", "SELECT 1;")
    error = _refused(scratch, include, BadInput)
    assert "expected a migration called 00" in error.problem
    assert str(path.parent) in error.problem


def test_a_trial_that_is_stopped_says_nothing_about_contracts_and_is_no_plan(
    scratch, include, monkeypatch
):
    def stopped(*_: Any) -> None:
        raise psycopg.errors.LockNotAvailable("canceling statement due to lock timeout")

    monkeypatch.setattr(contract_effects, "build", stopped)
    with pytest.raises(psycopg.errors.LockNotAvailable):
        make_plan(scratch.connection, include.store, include.directory, [_F3])
