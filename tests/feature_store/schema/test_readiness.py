"""prepare: checks all that a refresh needs, before any work and without changing anything."""

from __future__ import annotations

import os
from datetime import timedelta

import psycopg
import pytest

from feature_store.audit.lease import RunKey, take_lease
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.suites import read_suites
from feature_store.errors import BadInput, NotReady
from feature_store.refresh.refresh import refresh
from feature_store.schema.apply import apply
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.privileges.audit_privileges import AUDIT_FUNCTIONS, AUDIT_LOGS
from feature_store.schema.readiness import check_ready, server_problems
from sandbox.roles import grant_roles
from tests.feature_store.refresh.certified import CertifiedNights
from tests.relations import D1 as _D1
from tests.relations import E as _E

_SEE_PLAN = "Fix the above, see by `bin/feature-store plan` what is left, then run again."
# Plan does not look at privileges, nor at rows: it would say that all is well.
_FIX = (
    "Fix the above (`bin/feature-store grants` has every privilege that a run needs), then run "
    "again."
)


def _not_ready(database, include, role: str | None = None) -> NotReady:
    """Prepare refuses and alters nothing."""
    before = database.snapshot()
    with database.session(role) as connection, pytest.raises(NotReady) as caught:
        check_ready(connection, include.store, include.settings)
    assert database.snapshot() == before
    assert caught.value.readers == "the rows of the last refresh; nothing was changed."
    assert caught.value.next_step in (_SEE_PLAN, _FIX)
    return caught.value


def _problems(error: NotReady) -> list[str]:
    assert error.problem.startswith("The store cannot be refreshed:\n")
    return [item.strip() for item in error.problem.split("\n  - ")[1:]]


@pytest.fixture
def refresher(store_db, new_role):
    """A role with exactly what a run needs."""
    role = new_role()
    grant_roles(store_db.conninfo, owner="postgres", refresher=role)
    return role


def test_a_store_as_its_files_is_ready_and_looking_alters_nothing(store_db, include):
    before = store_db.snapshot()
    store_db.run("BEGIN READ ONLY")
    check_ready(store_db.connection, include.store, include.settings)
    store_db.run("ROLLBACK")
    assert store_db.snapshot() == before


def test_a_missing_source_table_stops_the_run(store_db, include):
    store_db.run('ALTER TABLE "iPhone".iphone_ai_enrich RENAME TO elsewhere')
    problems = _problems(_not_ready(store_db, include))
    assert "The source table iPhone.iphone_ai_enrich is missing." in problems


def test_a_missing_source_column_stops_the_run(store_db, include):
    store_db.run('ALTER TABLE "iPhone".iphone_listings RENAME COLUMN spam TO flag')
    refused = _not_ready(store_db, include)
    assert "The source column iPhone.iphone_listings.spam is missing." in _problems(refused)
    assert refused.next_step == _SEE_PLAN


def test_a_wrong_type_family_stops_the_run(store_db, include):
    store_db.run(
        "DROP SCHEMA ml CASCADE",
        'ALTER TABLE "iPhone".iphone_listings ALTER COLUMN price TYPE text',
    )
    problems = _problems(_not_ready(store_db, include))
    assert " ".join(problems[0].split()).startswith(
        "The source column iPhone.iphone_listings.price has the type text; "
        "expected one of bigint, integer, smallint. Next: ALTER TABLE"
    )


def test_a_server_that_is_too_old_or_too_new_stops_the_run(store_db, include, monkeypatch):
    major = store_db.connection.info.server_version // 10000
    assert server_problems(store_db.connection) == []
    for supported in ((major + 1, major + 2), (major - 2, major - 1)):
        monkeypatch.setattr("feature_store.schema.readiness.SUPPORTED_SERVERS", supported)
        words = f"The server is PostgreSQL {major}; expected {supported[0]} to {supported[1]}."
        assert server_problems(store_db.connection) == [words]
        assert _problems(_not_ready(store_db, include)) == [words]
    monkeypatch.setattr("feature_store.schema.readiness.SUPPORTED_SERVERS", (major, major))
    assert server_problems(store_db.connection) == []


@pytest.mark.parametrize("setting", ["zero_damaged_pages", "ignore_checksum_failure"])
def test_a_server_that_hides_damage_stops_the_run(store_db, include, setting):
    """Rows would be missing, and every proof would read the same pages."""
    database = store_db.value("SELECT quote_ident(current_database())")
    store_db.run(f"ALTER DATABASE {database} SET {setting} = on")
    (problem,) = _problems(_not_ready(store_db, include))
    assert problem.startswith(f"{setting} is on: rows of damaged pages are missing or wrong")
    store_db.run(f"ALTER DATABASE {database} RESET {setting}")
    with store_db.session() as session:
        assert server_problems(session) == []


def test_a_database_of_another_version_of_its_collation_stops_the_run_until_it_is_mended(server):
    """An index of texts whose order has changed hides rows from the query and its proof alike."""
    with psycopg.connect(server.conninfo, autocommit=True) as superuser:
        if superuser.info.server_version < 170000:
            pytest.skip("The builtin collation, which has a version everywhere, is newer.")
        superuser.execute(
            'CREATE DATABASE "Moved here" TEMPLATE template0 LOCALE_PROVIDER builtin '
            "BUILTIN_LOCALE 'C.UTF-8'"
        )
    with psycopg.connect(server.database("Moved here"), autocommit=True) as moved:
        assert server_problems(moved) == []
        moved.execute(
            "UPDATE pg_database SET datcollversion = '0' WHERE datname = current_database()"
        )
        (problem,) = server_problems(moved)
        assert problem.startswith("The database was made with version 0 of its collation; the ")
        for command in problem.partition("Next: ")[2].split("; "):
            moved.execute(command.encode())
        assert server_problems(moved) == []
    server.drop_database("Moved here")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_lacks_letters_stops_the_run_and_apply(server, include, encoding):
    name = f"{encoding.lower()}_{os.getpid()}"
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'".encode()
        )
    with psycopg.connect(server.database(name), autocommit=True) as connection:
        for refused in (
            lambda: check_ready(connection, include.store, include.settings),
            lambda: apply(connection, include.store, include.settings),
        ):
            with pytest.raises(NotReady, match=f"encoding is {encoding}") as caught:
                refused()
            assert "a dump of it into one with the encoding UTF8" in str(caught.value)
    server.drop_database(name)


def test_a_database_without_the_store_names_all_that_is_missing_and_apply(sources_db, include):
    (problem,) = _problems(_not_ready(sources_db, include))
    assert problem.startswith(
        "Missing: schema ml, schema feature_store_audit, schema feature_log, steps 1 to "
        f"{len(include.migrations)} of the audit schema, "
    )
    for relation in include.store.relations:
        assert str(relation.name) in problem
    assert problem.endswith("Next: bin/feature-store apply")


def test_a_single_missing_relation_is_named(store_db, include):
    store_db.run("DROP VIEW feature_store.device_meta_encoded_t0_v1")
    assert _problems(_not_ready(store_db, include)) == [
        "Missing: feature_store.device_meta_encoded_t0_v1.\n    Next: bin/feature-store apply"
    ]


def test_an_alteration_in_the_database_stops_the_run_with_the_way_out(store_db, include):
    store_db.run("DROP INDEX ml.sold_dur_v1_idx")
    (problem,) = _problems(_not_ready(store_db, include))
    assert problem.startswith(f"{_D1}: altered in the database since it was applied\n")
    assert "sold_dur_v1_idx" in problem
    assert "Next: undo the change in the database, or `bin/feature-store apply --replace" in problem


def test_a_changed_file_stops_the_run_and_changed_words_do_not(store_db, include):
    include.edit(f"sql/base/{_D1}.sql", "The sold listing.", "What was sold.")
    check_ready(store_db.connection, include.store, include.settings)
    include.edit(f"sql/base/{_D1}.sql", "3600.0", "60.0")
    (problem,) = _problems(_not_ready(store_db, include))
    assert problem.startswith(f"{_D1}: its file has changed since it was applied\n")


def test_all_problems_are_told_at_once(store_db, include):
    store_db.run(
        'ALTER TABLE "iPhone".iphone_listings DROP COLUMN edited_date CASCADE',
        'ALTER TABLE "iPhone".iphone_ai_enrich RENAME COLUMN can_ship TO ships',
        "DROP INDEX ml.sold_prices_v1_idx",
    )
    problems = "\n".join(_problems(_not_ready(store_db, include)))
    assert "iPhone.iphone_listings.edited_date is missing" in problems
    assert "iPhone.iphone_ai_enrich.can_ship is missing" in problems
    assert "ml.sold_prices_v1_mv: altered in the database" in problems
    assert "Missing: " in problems
    assert "ml.tom_features_v1_mv" in problems


def test_an_audit_schema_of_a_newer_package_stops_the_run(scratch, include):
    known = len(include.migrations)
    scratch.run(f"INSERT INTO feature_store_audit.migration VALUES ({known + 1}, 'x')")
    with pytest.raises(BadInput, match=f"at version {known + 1}; this package has only {known}"):
        check_ready(scratch.connection, include.store, include.settings)


# Privileges, of real roles


def test_a_role_with_exactly_the_privileges_is_ready(store_db, include, refresher):
    with store_db.session(refresher) as connection:
        check_ready(connection, include.store, include.settings)
        lease = take_lease(connection, RunKey("x", "x"), lambda _: True, timedelta(0))
        for relation in include.store.refreshed:
            refresh(connection, relation, lease, "UTC")


def test_without_select_the_relation_is_named(store_db, include, refresher):
    store_db.run(f"REVOKE SELECT ON {_E} FROM {refresher}")
    refused = _not_ready(store_db, include, refresher)
    assert _problems(refused) == [
        f"{refresher} may not read {_E}, so it cannot count its rows.\n"
        f"    Next: GRANT SELECT ON {_E} TO {refresher}"
    ]
    assert refused.next_step == _FIX


@pytest.mark.parametrize(
    "privilege",
    [
        "SELECT ON feature_store_audit.run",
        "SELECT ON feature_store_audit.definition",
        "UPDATE (only_one) ON feature_store_audit.lease",
        "UPDATE ON feature_store_audit.history_lock",
        "USAGE ON SEQUENCE feature_store_audit.event",
        *(f"EXECUTE ON FUNCTION feature_store_audit.{f}" for f in AUDIT_FUNCTIONS),
    ],
)
def test_without_a_privilege_on_the_record_it_is_named(store_db, include, refresher, privilege):
    store_db.run(f"REVOKE {privilege} FROM {refresher}")
    (problem,) = _problems(_not_ready(store_db, include, refresher))
    assert problem.endswith(f"Next: GRANT {privilege} TO {refresher}")


@pytest.mark.parametrize("log", AUDIT_LOGS)
def test_without_the_columns_of_a_log_it_is_named(store_db, include, refresher, log):
    store_db.run(f"REVOKE INSERT ON feature_store_audit.{log} FROM {refresher}")
    (problem,) = _problems(_not_ready(store_db, include, refresher))
    store_db.run(problem.partition("Next: ")[2])
    with store_db.session(refresher) as connection:
        check_ready(connection, include.store, include.settings)


def test_a_role_without_any_is_told_of_the_file_that_grants_them(store_db, include, refresher):
    store_db.run(f"REVOKE ALL ON ALL TABLES IN SCHEMA feature_store_audit FROM {refresher}")
    (problem,) = _problems(_not_ready(store_db, include, refresher))
    assert "privileges on the record in feature_store_audit" in problem
    database = store_db.connection.info.dbname
    assert f"bin/feature-store grants | psql -d {database} -v refresher={refresher}" in problem


@pytest.mark.parametrize("schema", ["ml", "feature_store", "feature_store_audit"])
def test_without_usage_on_a_schema_it_is_named(store_db, include, refresher, schema):
    store_db.run(f"REVOKE USAGE ON SCHEMA {schema} FROM {refresher}")
    assert schema in _not_ready(store_db, include, refresher).problem


def test_an_owner_without_temp_is_named_for_every_concurrent_relation(store_db, include, new_role):
    owner = new_role()
    store_db.run(
        f"GRANT USAGE ON SCHEMA ml, feature_store TO {owner}",
        f'GRANT USAGE ON SCHEMA "iPhone" TO {owner}',
        f'GRANT SELECT ON ALL TABLES IN SCHEMA "iPhone", feature_store TO {owner}',
        f"REVOKE TEMPORARY ON DATABASE {store_db.connection.info.dbname} FROM public",
    )
    for relation in include.store.relations:
        kind = "MATERIALIZED VIEW" if relation.file.materialized else "VIEW"
        store_db.run(f"ALTER {kind} {relation.name} OWNER TO {owner}")
    problems = _problems(_not_ready(store_db, include))
    concurrent = [r for r in include.store.refreshed if r.refresh is Refresh.CONCURRENT]
    assert [p.split(",")[1].strip() for p in problems] == [f"who owns {r.name}" for r in concurrent]
    assert problems[0].startswith(
        f"{owner}, who owns {concurrent[0].name}, may not create temporary tables, which a "
        f"concurrent refresh needs.\n    Next: GRANT TEMPORARY ON DATABASE "
    )
    store_db.run(f"GRANT TEMPORARY ON DATABASE {store_db.connection.info.dbname} TO {owner}")
    check_ready(store_db.connection, include.store, include.settings)


def test_an_owner_who_may_not_read_a_source_is_named(store_db, include, new_role):
    owner = new_role()
    store_db.run(
        f"GRANT USAGE ON SCHEMA ml TO {owner}",
        f"ALTER MATERIALIZED VIEW {_D1} OWNER TO {owner}",
    )
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        store_db.run(f"REFRESH MATERIALIZED VIEW {_D1}")
    problem = _not_ready(store_db, include).problem
    assert owner in problem
    assert "iphone_listings" in problem


@pytest.mark.parametrize("table", ["ml.feature_set", "feature_store.feature_contract"])
def test_a_role_that_may_not_read_a_contract_is_named(store_db, include, refresher, table):
    """Else every layer would be refreshed before the last task fails."""
    store_db.run(f"REVOKE SELECT ON {table} FROM {refresher}")
    assert _problems(_not_ready(store_db, include, refresher)) == [
        f"{refresher} may not read {table}, so it cannot assert the contract.\n"
        f"    Next: GRANT SELECT ON {table} TO {refresher}"
    ]


def _rename_a_suite(include) -> None:
    include.edit("suites.toml", "[spam_absence]", "[no_spam]")
    (include.directory / "sql/expectations/spam_absence").rename(
        include.directory / "sql/expectations/no_spam"
    )


def test_a_suite_without_which_nothing_is_certified_must_be_in_the_files(store_db, include):
    _rename_a_suite(include)
    gone, missing = _problems(_not_ready(store_db, include))
    assert gone.startswith("Nothing is certified without the suite spam_absence, which is not")
    assert missing.startswith("Missing: the suite no_spam, required to certify.")
    store_db.run(gone.rpartition("as the owner: ")[2])
    _not_ready(store_db, include)
    apply(store_db.connection, include.store, include.settings)
    check_ready(store_db.connection, include.store, include.settings)


def test_a_suite_that_is_renamed_or_added_later_is_required_too(scratch, include, store_files):
    _rename_a_suite(include)
    include.write(
        "suites.toml",
        (include.directory / "suites.toml").read_text()
        + '\n[prices]\ntitle = "No price is odd"\nchecks = []\n',
    )
    include.write(
        "sql/expectations/prices/no_price_is_odd.sql",
        f"-- Expectation: no price is odd\n-- Relation: {_E}\n-- Severity: critical\n"
        f"SELECT e.listing_id FROM {_E} AS e WHERE e.price < 0;\n",
    )
    connection = scratch.connection
    plan = make_plan(connection, include.store, include.directory)
    assert not plan.empty
    assert "  - the suite no_spam, required to certify\n" in str(plan)
    assert "  - the suite prices, required to certify\n" in str(plan)
    assert "certified without the suite spam_absence, which is not in suites.toml." in str(plan)

    done = apply(connection, include.store, include.settings)

    scratch.run(str(done).rpartition("as the owner: ")[2].partition("\n")[0])
    required = "SELECT suite FROM feature_store_audit.required_suite"
    assert {suite for (suite,) in scratch.rows(required)} == read_suites(include.directory).keys()
    assert make_plan(connection, include.store, include.directory).empty
    nights = CertifiedNights(scratch, store_files, include.settings)
    lease = nights.begin("monday")
    nights.refreshed(lease)
    nights.checked(lease, "uniqueness", "no_spam", "as_of_counts")  # prices: marked success
    with pytest.raises(NotReady, match="The suite prices has not been checked"):
        nights.certify(lease)
