"""The roles where nobody is a superuser: a managed service's administrator has only CREATEROLE.

The administrator owns the database, and somebody else owns the sources.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from feature_store.audit.lease import RunKey, take_lease
from feature_store.database.session import pin
from feature_store.declarations.store_definition import Store
from feature_store.refresh.refresh import refresh
from feature_store.schema.first_start import bootstrap
from feature_store.schema.readiness import check_ready
from feature_store.settings import Settings
from sandbox.load import load_sample
from sandbox.roles import OWNER, PAGE, READER, REFRESHER, REVIEWER, as_role, grant_roles
from sandbox.sample.options import SampleOptions
from sandbox.server import available_versions
from tests.conftest import ROOT, Servers
from tests.feature_store.schema.roles.governed import earlier_version

ADMIN = "administrator"
SCRAPER = "scraper"
THEIRS = ('"iPhone".iphone_ai_enrich', '"iPhone".iphone_listings')


@pytest.fixture(params=available_versions(), ids=lambda version: f"pg{version}")
def managed(request: pytest.FixtureRequest, servers: Servers) -> Iterator[str]:
    """The administrator's connection string, to a database that has only the sources."""
    server = servers[request.param]
    name = f"managed_{request.param}"
    # Roles belong to the server, and other tests have made some that the administrator must make.
    ours = [OWNER, REFRESHER, READER, REVIEWER, PAGE]
    renamed = "ALTER ROLE {} RENAME TO {}"
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        taken = [
            role
            for (role,) in connection.execute(
                "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (ours,)
            )
        ]
        for role in taken:
            connection.execute(renamed.format(role, f"away_{role}").encode())
        connection.execute(f"CREATE ROLE {ADMIN} LOGIN CREATEROLE".encode())
        connection.execute(f"CREATE ROLE {SCRAPER} LOGIN".encode())
    conninfo = server.create_database(name, "template0")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} OWNER TO {ADMIN}".encode())
        connection.execute(f"SET ROLE {ADMIN}".encode())
        connection.execute((ROOT / "sandbox" / "sources.sql").read_bytes())
        connection.execute("RESET ROLE")
        for thing in ('SCHEMA "iPhone"', *(f"TABLE {table}" for table in THEIRS)):
            connection.execute(f"ALTER {thing} OWNER TO {SCRAPER}".encode())
        load_sample(connection, SampleOptions(listings=300, days=20))
    yield as_role(conninfo, ADMIN)
    server.drop_database(name)
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        for role in (*ours, ADMIN, SCRAPER):
            connection.execute(f"DROP ROLE IF EXISTS {role}".encode())
        for role in taken:
            connection.execute(renamed.format(f"away_{role}", role).encode())


def _told(conninfo: str) -> str:
    """The statements that the refused file prints for the administrator."""
    with pytest.raises(subprocess.CalledProcessError) as refused:
        grant_roles(conninfo)
    (hint,) = re.findall(r"HINT: +(.*?);? then run this file again", refused.value.stderr)
    return str(hint)


def _run(conninfo: str, role: str, statements: str) -> None:
    with psycopg.connect(as_role(conninfo, role), autocommit=True) as connection:
        for statement in statements.split("; "):
            connection.execute(statement.encode())


def _members(conninfo: str) -> set[str]:
    """The roles whose privileges the administrator has."""
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname ~ '^feature_store_' "
            "AND pg_has_role(oid, 'USAGE')"
        ).fetchall()
    return {role for (role,) in rows}


def _version(conninfo: str) -> int:
    with psycopg.connect(conninfo) as connection:
        return connection.info.server_version


def _memberships(conninfo: str) -> list[tuple[str, str, bool, bool]]:
    """What the administrator is a member of: role, who granted it, with INHERIT, with SET."""
    with psycopg.connect(conninfo) as connection:
        return connection.execute(
            "SELECT roleid::regrole::text, grantor::regrole::text, inherit_option, set_option "
            "FROM pg_auth_members WHERE member = current_user::regrole ORDER BY 1, 2"
        ).fetchall()


def test_without_a_superuser_what_is_told_makes_the_roles_and_a_night_runs(
    managed: str, store_files: Store, settings: Settings
) -> None:
    # The administrator owns the schema of the images, and so may give it away.
    give = _told(managed)
    assert give == (
        f"GRANT {OWNER} TO CURRENT_USER; ALTER SCHEMA feature_store OWNER TO {OWNER}; "
        f"GRANT USAGE ON SCHEMA feature_store TO {ADMIN}"
    )
    _run(managed, ADMIN, f"{give}; REVOKE {OWNER} FROM CURRENT_USER")
    # Only the scraper can grant on the scraper's tables.
    grant = _told(managed).removeprefix("As the owner of these: ")
    assert set(grant.split("; ")) == {
        f"GRANT {privilege} TO {role}"
        for privilege in ('USAGE ON SCHEMA "iPhone"', *(f"SELECT ON TABLE {t}" for t in THEIRS))
        for role in (OWNER, REFRESHER)
    }
    _run(managed, SCRAPER, grant)
    assert "The store is not complete yet." in grant_roles(managed)
    with psycopg.connect(as_role(managed, OWNER), autocommit=True) as connection:
        pin(connection, settings, "tests")
        bootstrap(connection, store_files, settings)
    assert grant_roles(managed) == "The roles have what they need.\n"
    assert _members(managed) == set()

    _night(managed, store_files, settings)

    # As an earlier version left it on PostgreSQL 15 and 16, also after a move to a later one.
    with psycopg.connect(make_conninfo(managed, user="postgres"), autocommit=True) as connection:
        earlier_version(connection, store_files)
    assert grant_roles(managed) == "The roles have what they need.\n"
    assert _members(managed) == set()
    _night(managed, store_files, settings)


@pytest.mark.parametrize("option", ["inherit", "set"])
def test_what_the_administrator_was_to_the_owner_he_is_afterwards(
    managed: str, option: str
) -> None:
    """Where the server makes who creates a role a member of it, as the setting says."""
    if _version(managed) < 160000:
        pytest.skip("there is no such setting")
    superuser = make_conninfo(managed, user="postgres")
    _run(superuser, "postgres", f"ALTER ROLE {ADMIN} SET createrole_self_grant = '{option}'")
    _run(managed, ADMIN, f"CREATE ROLE {OWNER} LOGIN")
    _run(superuser, "postgres", f"ALTER SCHEMA feature_store OWNER TO {OWNER}")
    before = _memberships(managed)
    assert [row[2:] for row in before if row[1] == ADMIN] == [
        (option == "inherit", option == "set")
    ]
    _run(managed, SCRAPER, _told(managed).removeprefix("As the owner of these: "))
    assert "The store is not complete yet." in grant_roles(managed)
    assert [row for row in _memberships(managed) if row[0] == OWNER] == before


def test_who_may_not_act_for_the_owner_is_told_what_lets_him(managed: str) -> None:
    """From PostgreSQL 16 on this holds only for roles that the administrator made or was given."""
    superuser = make_conninfo(managed, user="postgres")
    _run(
        superuser,
        "postgres",
        f"CREATE ROLE {OWNER} LOGIN; ALTER SCHEMA feature_store OWNER TO {OWNER}",
    )
    if _version(managed) < 160000:
        pytest.skip("CREATEROLE was enough")
    told = _told(managed).removeprefix("As a superuser, or as whoever made that role: ")
    assert told == f"GRANT {OWNER} TO {ADMIN} WITH ADMIN OPTION"
    _run(superuser, "postgres", told)
    assert _told(managed).startswith("As the owner of these: ")


def _night(conninfo: str, store_files: Store, settings: Settings) -> None:
    """Refresh everything as the refresher."""
    with psycopg.connect(as_role(conninfo, REFRESHER), autocommit=True) as connection:
        pin(connection, settings, "tests")
        check_ready(connection, store_files, settings)
        lease = take_lease(connection, RunKey("x", "x"), lambda _: True, timedelta(0))
        for relation in store_files.refreshed:
            refresh(connection, relation, lease, settings.zone)
