"""The audit schema's migrations: whether a database has had all that this package brings."""

from __future__ import annotations

import pytest

from feature_store.errors import BadInput
from feature_store.schema.audit_migrations import (
    audit_is_current,
    pending_migrations,
    read_migrations,
)


def test_after_apply_runs_can_record(scratch):
    assert audit_is_current(scratch.connection)


def test_while_a_step_waits_for_apply_they_cannot(scratch):
    """As after an upgrade of the package: prepare stops the run, and nothing of it is recorded."""
    scratch.run(
        "DELETE FROM feature_store_audit.migration "
        "WHERE version = (SELECT max(version) FROM feature_store_audit.migration)"
    )
    assert not audit_is_current(scratch.connection)


def test_an_edited_step_is_noticed_by_name(scratch, package):
    """What was applied is what its file said then: a change is a new step."""
    assert pending_migrations(scratch.connection, read_migrations()) == ()
    package.edit("audit/0016_lease_functions.sql", "Its token only ever rises.", "Its token rises.")
    with pytest.raises(
        BadInput, match=r"Edited since they were applied .*: 0016_lease_functions\.sql"
    ):
        pending_migrations(scratch.connection, read_migrations())


def test_without_the_schema_they_cannot(scratch_sources):
    assert not audit_is_current(scratch_sources.connection)
