"""The audit schema's migrations: whether a database has had all that this package brings."""

from __future__ import annotations

import pytest
from psycopg.errors import CheckViolation

from feature_store.errors import BadInput
from feature_store.schema.audit_migrations import (
    audit_is_current,
    migrate,
    pending_migrations,
    read_migrations,
)

_COUNTED = '{"feature_store.device_count_day_v1_mv": "x"}'


def test_after_apply_runs_can_record(scratch):
    assert audit_is_current(scratch.connection)


def test_while_a_step_waits_for_apply_they_cannot(scratch):
    """As after an upgrade of the package: prepare stops the run, and the run leaves no record."""
    scratch.run(
        "DELETE FROM feature_store_audit.migration "
        "WHERE version = (SELECT max(version) FROM feature_store_audit.migration)"
    )
    assert not audit_is_current(scratch.connection)


def test_an_edited_step_is_noticed_by_name(scratch, package):
    """A step that was applied stays as its file was then: every change is a new step."""
    assert pending_migrations(scratch.connection, read_migrations()) == ()
    package.edit("audit/0016_lease_functions.sql", "Its token only ever rises.", "Its token rises.")
    with pytest.raises(
        BadInput, match=r"Edited since they were applied .*: 0016_lease_functions\.sql"
    ):
        pending_migrations(scratch.connection, read_migrations())


def test_without_the_schema_they_cannot(scratch_sources):
    assert not audit_is_current(scratch_sources.connection)


def test_the_history_of_the_device_counts_keeps_its_baseline_under_its_own_name(scratch):
    """It was called F1, like the view. A history of that name in another store is left alone."""
    (step,) = (m for m in read_migrations() if m.name == "device_counts")
    tables = ("history_layer", "history_day", "history_row", "history_change")
    for definitions, name in (('{"ml.theirs": "x"}', "F1"), (_COUNTED, "device counts")):
        scratch.run(
            "INSERT INTO feature_store_audit.history_layer (layer, definitions, dag_id, run_id) "
            f"VALUES ('F1', '{definitions}', 'd', 'r')",
            "INSERT INTO feature_store_audit.history_day (layer, day, row_count, fingerprint, "
            "dag_id, run_id) VALUES ('F1', '2026-01-01', 1, '', 'd', 'r')",
            "INSERT INTO feature_store_audit.history_row (layer, day, copy, row_key, digest, "
            "columns) VALUES ('F1', '2026-01-01', 1, 'k', '', '')",
            "INSERT INTO feature_store_audit.history_change (layer, day, came, copy, row_key, "
            "digest, columns) VALUES ('F1', '2026-01-01', TRUE, 1, 'k', '', '')",
            step.sql,
        )
        for table in tables:
            assert scratch.value(f"SELECT layer FROM feature_store_audit.{table}") == name
            scratch.run(f"DELETE FROM feature_store_audit.{table}")


def test_a_finding_of_declared_columns_is_of_the_kind_exception_after_an_upgrade(sources_db):
    """It was called ``ai``, after the one exception of one store. No row of it is lost."""
    steps = read_migrations()
    sources_db.run("CREATE SCHEMA feature_store_audit", "CREATE SCHEMA feature_log")
    migrate(sources_db.connection, steps[:10])
    for kind in ("ai", "review"):
        sources_db.run(
            "INSERT INTO feature_store_audit.history_finding (kind, layer, relation, day, dag_id, "
            "run_id, latest_dag_id, latest_run_id, outcome, closed_at) VALUES "
            f"('{kind}', 'A', 'x', '2026-01-09', 'd', 'r', 'd', 'r', 'reported', now())"
        )
    migrate(sources_db.connection, steps[10:])
    found = "SELECT kind, outcome FROM feature_store_audit.history_finding ORDER BY finding_id"
    assert sources_db.rows(found) == [("exception", "reported"), ("review", None)]
    with pytest.raises(CheckViolation):
        sources_db.run("UPDATE feature_store_audit.history_finding_log SET kind = 'ai'")


def test_a_seal_of_texts_holds_in_any_order_of_them_and_older_seals_still_do(any_case):
    """A dump that is restored in another locale, or a new version of it, orders them anew."""
    steps = read_migrations()
    (new,) = (m for m in steps if m.name == "wherever_it_is")
    any_case.execute("CREATE SCHEMA feature_store_audit; CREATE SCHEMA feature_log")
    migrate(any_case, steps[: new.version - 1])
    any_case.execute(
        "CREATE TABLE feature_log.words (id text COLLATE public.any_case, serving bigint);"
        "INSERT INTO feature_store_audit.feature_log "
        "(feature_set, relation, entity, t0_relation, t0_column) VALUES "
        "('words', 'x', 'id', 'x', 'x');"
        "INSERT INTO feature_log.words SELECT w, n FROM unnest('{a-1,a1,B}'::text[]) AS w, "
        "generate_series(1, 2) AS n;"
        "SELECT feature_store_audit.seal_serving('words', n, 'd', 'r', NULL, NULL) "
        "FROM generate_series(1, 2) AS n;"
        "DELETE FROM feature_log.words WHERE id = 'B' AND serving = 2"
    )
    broken = "SELECT serving FROM feature_store_audit.broken_servings('words') ORDER BY 1"
    migrate(any_case, steps[new.version - 1 :])
    for collation in ("public.any_case", '"C"'):
        any_case.execute(f"ALTER TABLE feature_log.words ALTER id TYPE text COLLATE {collation}")
        assert any_case.execute(broken).fetchall() == [(2,)]
