"""What is built beside belongs to whom it should, and its record says how it is now."""

from __future__ import annotations

import pytest

from feature_store.schema.apply import apply
from feature_store.schema.planning.plan import Plan
from feature_store.schema.privileges.privileges import refresh_problems
from tests.feature_store.schema.hand_built import OWNER, READER
from tests.relations import D3, E_AI, F3, C


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
