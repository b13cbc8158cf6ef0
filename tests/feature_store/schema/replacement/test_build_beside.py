"""What is built beside belongs to whom it should, and its record says how it is now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from feature_store.audit.adopted import adopted_relations
from feature_store.audit.lease import lock_free_lease
from feature_store.errors import LeaseTaken, NotReady
from feature_store.schema.apply import apply
from feature_store.schema.planning.plan import Plan, make_plan
from feature_store.schema.privileges.privileges import refresh_problems
from feature_store.schema.replacement.build_beside import build
from feature_store.schema.replacement.dependents import plan_replacement
from tests.feature_store.schema.hand_built import OWNER, READER
from tests.relations import D3, E_AI, F3, B, C


@pytest.fixture
def owned(hand_built, include):
    """The hand-built store, applied by its owner."""
    with hand_built.session(OWNER) as connection:
        apply(connection, include.store, include.settings, [E_AI])
    return hand_built


def _apply_as_superuser(database, include, *replace: str) -> Plan:
    with database.session() as connection:
        return apply(connection, include.store, include.settings, replace)


def test_new_relations_belong_to_the_owner_though_a_superuser_applies(owned, include):
    """The superuser's rights are nobody's rights: a plain view reads with those of its owner."""
    owned.run(
        f"DROP MATERIALIZED VIEW {C}",
        f"DROP VIEW {F3}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} GRANT SELECT ON TABLES TO {READER}",
    )
    plan = _apply_as_superuser(owned, include, D3)
    assert {thing.label for thing in plan.creates} == {C, F3}
    for name in (C, F3):
        assert owned.rows(
            "SELECT pg_get_userbyid(relowner), has_table_privilege(%s, oid, 'SELECT') "
            "FROM pg_class WHERE oid = %s::regclass",
            READER,
            name,
        ) == [(OWNER, True)]
    with owned.session(OWNER) as connection:
        assert refresh_problems(connection, include.store) == []
    assert owned.rows("SELECT nspname FROM pg_namespace WHERE nspname ~ '_(beside|gone)_'") == []


_EVENT = "o.sold_date IS NOT NULL AS sold_event"
_AS_NUMBER = "(o.sold_date IS NOT NULL)::int AS sold_event"


def _type_of_event(database) -> str:
    kind: str = database.value(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attname = 'sold_event'",
        C,
    )
    return kind


def test_what_passes_a_column_of_another_type_on_is_as_recorded(store_db, include):
    """Else what apply did would be taken for an alteration by somebody, and stop the next run."""
    include.edit(f"sql/base/{B}.sql", _EVENT, _AS_NUMBER)
    _apply_as_superuser(store_db, include, B)
    assert _type_of_event(store_db) == "integer"
    plan = make_plan(store_db.connection, include.store, include.directory)
    assert plan.problems == []
    assert plan.empty


def test_what_is_adopted_and_passes_it_on_is_adopted_as_it_is_then(owned, include):
    include.edit(f"sql/base/{B}.sql", _EVENT, _AS_NUMBER)
    _apply_as_superuser(owned, include, B)
    assert _type_of_event(owned) == "integer"
    plan = make_plan(owned.connection, include.store, include.directory)
    assert plan.problems == []
    assert plan.empty
    assert C in adopted_relations(owned.connection)


def test_what_is_adopted_and_would_not_fit_with_it_must_be_named(owned, include):
    include.edit(f"sql/base/{B}.sql", _EVENT, _AS_NUMBER)
    include.edit(f"sql/base/{C}.sql", "sold_event,", "sold_event::boolean AS sold_event,")
    before = owned.snapshot()
    with pytest.raises(NotReady) as caught:
        _apply_as_superuser(owned, include, B)
    assert "its column sold_event is integer, not boolean" in str(caught.value)
    assert caught.value.next_step == f"Name it, too: `--replace {C}`."
    assert owned.snapshot() == before
    _apply_as_superuser(owned, include, B, C)
    assert make_plan(owned.connection, include.store, include.directory).empty


def test_whoever_meets_another_who_builds_is_told_so(store_db, include):
    """A rehearsal holds the lease and the schemas beside; plan has no lease to ask for."""
    plan = plan_replacement(store_db.connection, include.store, [E_AI], [])
    short = replace(include.settings, lock_timeout=1)
    with store_db.session() as builder, builder.transaction():
        lock_free_lease(builder, lambda _: None, timedelta(0))
        build(builder, plan, "")
        with store_db.session() as connection:
            connection.execute("SET lock_timeout = '1s'")
            with pytest.raises(LeaseTaken) as planned:
                make_plan(connection, include.store, include.directory, [E_AI])
            with pytest.raises(LeaseTaken) as applied:
                apply(connection, include.store, short, [E_AI])
    assert planned.value.problem == "Another apply, or a rehearsal, is building in this database."
    assert planned.value.next_step == "Try again when it is done."
    assert applied.value.problem == "Another run is working on the store at this moment."
