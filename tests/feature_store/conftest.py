"""Helpers of the package's tests: a database with a pinned session, and a copy of include/."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from feature_store.connection import Connection
from feature_store.database.session import pin
from feature_store.declarations.files.text_file import PACKAGE_SQL
from feature_store.declarations.store_definition import Store, read_store
from feature_store.schema import audit_migrations
from feature_store.schema.audit_migrations import Migration, read_migrations
from feature_store.schema.governance import governance
from feature_store.schema.store_objects import store_objects
from feature_store.settings import Settings
from sandbox.load import load_sample
from sandbox.sample.options import SampleOptions
from sandbox.server import Server, available_versions
from tests.conftest import Servers
from tests.feature_store.night import Night
from tests.feature_store.schema.hand_built import OWNER, READER, build_by_hand, stand_on_it

_numbers = itertools.count(1)

# Everything in the user's schemas that a statement could alter, one line each.
_CATALOG = """
WITH ours AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
)
SELECT format('schema %s %s %s', nspname, oid, obj_description(oid, 'pg_namespace')) FROM ours
UNION ALL
SELECT format('relation %s.%s %s %s %s %s %s %s %s', nspname, relname, c.oid, relkind, relowner,
    relfilenode, relispopulated, reloptions::text, relacl::text)
FROM pg_class AS c INNER JOIN ours ON relnamespace = ours.oid
UNION ALL
SELECT format('column %s.%s %s %s %s', attrelid::regclass, attname, attnum,
    format_type(atttypid, atttypmod), attnotnull)
FROM pg_attribute INNER JOIN pg_class AS c ON attrelid = c.oid
INNER JOIN ours ON relnamespace = ours.oid
UNION ALL
SELECT format('query %s %s', c.oid::regclass, pg_get_viewdef(c.oid))
FROM pg_class AS c INNER JOIN ours ON relnamespace = ours.oid WHERE relkind IN ('v', 'm')
UNION ALL
SELECT format('constraint %s %s', conname, pg_get_constraintdef(pg_constraint.oid))
FROM pg_constraint INNER JOIN ours ON connamespace = ours.oid
UNION ALL
SELECT format('function %s %s', p.oid::regprocedure, prosrc)
FROM pg_proc AS p INNER JOIN ours ON pronamespace = ours.oid
UNION ALL
SELECT format('comment %s %s %s %s', classoid, objoid, objsubid, description) FROM pg_description
WHERE objoid >= 16384
"""
_TABLES = """
SELECT c.oid::regclass::text FROM pg_class AS c INNER JOIN pg_namespace AS n
ON relnamespace = n.oid
WHERE relkind = 'r' AND nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
"""


class Database:
    """One scratch database and a pinned session of its superuser."""

    def __init__(self, conninfo: str, settings: Settings) -> None:
        self.conninfo = conninfo
        self._settings = settings
        self.connection: Connection = psycopg.connect(conninfo, autocommit=True)
        pin(self.connection, settings, "tests")

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.connection.execute(statement.encode())

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), values or None).fetchall()

    def value(self, query: str, *values: Any) -> Any:
        return self.rows(query, *values)[0][0]

    def snapshot(self) -> list[str]:
        """All that exists, and all rows of its tables. If it stays equal, nothing has changed."""
        lines = [line for (line,) in self.rows(_CATALOG)]
        for (table,) in self.rows(_TABLES):
            rows = self.rows(f"SELECT t::text FROM {table} AS t")
            lines += [f"row of {table} {row}" for (row,) in rows]
        return sorted(lines)

    @contextmanager
    def session(self, role: str | None = None) -> Iterator[Connection]:
        """Another pinned session, of this role."""
        conninfo = make_conninfo(self.conninfo, user=role) if role else self.conninfo
        with psycopg.connect(conninfo, autocommit=True) as connection:
            pin(connection, self._settings, "tests")
            yield connection

    def close(self) -> None:
        self.connection.close()


def _opened(conninfo: str, settings: Settings) -> Iterator[Database]:
    database = Database(conninfo, settings)
    yield database
    database.close()


@pytest.fixture
def store_db(store_database: str, settings: Settings) -> Iterator[Database]:
    """The store, applied and empty."""
    yield from _opened(store_database, settings)


@pytest.fixture
def sources_db(sources_database: str, settings: Settings) -> Iterator[Database]:
    """The sources, and nothing of ours."""
    yield from _opened(sources_database, settings)


@pytest.fixture(scope="session")
def _hand_built(server: Server, settings: Settings, store_files: Store) -> str:
    """The name of a database to copy: a store built by hand, its owner, and what stands on it."""
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        for role in (OWNER, READER):
            connection.execute(f"CREATE ROLE {role} LOGIN".encode())
    conninfo = server.create_database("hand_built", "sources_only")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "tests")
        load_sample(connection, SampleOptions(listings=300, days=20))
        for statement in (
            f"GRANT CREATE ON DATABASE hand_built TO {OWNER}",
            f'GRANT USAGE ON SCHEMA "iPhone" TO {OWNER}',
            f"GRANT USAGE, CREATE ON SCHEMA feature_store TO {OWNER}",
            f'GRANT SELECT ON ALL TABLES IN SCHEMA "iPhone", feature_store TO {OWNER}',
            f"SET SESSION AUTHORIZATION {OWNER}",
        ):
            connection.execute(statement.encode())
        build_by_hand(connection, store_files)
        stand_on_it(connection, READER)
    return "hand_built"


@pytest.fixture
def hand_built(server: Server, settings: Settings, _hand_built: str) -> Iterator[Database]:
    """A store that somebody built by hand, without speed columns; the session is a superuser's."""
    name = f"hand_built_{next(_numbers)}"
    database = Database(server.create_database(name, _hand_built), settings)
    # Privileges on a database are not copied with it.
    database.run(f"GRANT CREATE, TEMPORARY ON DATABASE {name} TO {OWNER}")
    yield database
    database.close()
    server.drop_database(name)


@pytest.fixture(scope="session")
def _scratch_stores(server: Server, settings: Settings) -> Iterator[dict[str, Database]]:
    scratch = {
        template: Database(server.create_database(f"scratch_{template}", template), settings)
        for template in ("store", "sources_only")
    }
    yield scratch
    for database in scratch.values():
        database.close()


def _rolled_back(database: Database) -> Iterator[Database]:
    with database.connection.transaction(force_rollback=True):
        yield database


@pytest.fixture
def scratch(_scratch_stores: dict[str, Database]) -> Iterator[Database]:
    """Like ``store_db``, but much faster: one transaction, rolled back, and no second session."""
    yield from _rolled_back(_scratch_stores["store"])


@pytest.fixture
def scratch_sources(_scratch_stores: dict[str, Database]) -> Iterator[Database]:
    """Like ``sources_db``, in one transaction that is rolled back."""
    yield from _rolled_back(_scratch_stores["sources_only"])


@pytest.fixture(params=available_versions(), ids=lambda version: f"pg{version}")
def any_case(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Connection]:
    """A session on the sources, with a collation, any_case, under which A and a are equal.

    Not every server can have one.
    """
    conninfo = make_conninfo(servers[request.param].conninfo, dbname="sources_only")
    with psycopg.connect(conninfo) as connection:
        try:
            connection.execute(
                "CREATE COLLATION public.any_case "
                "(provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
            )
        except psycopg.errors.FeatureNotSupported as error:
            pytest.skip(str(error))
        yield connection
        connection.rollback()


@pytest.fixture
def empty_db(empty_database: str, settings: Settings) -> Iterator[Database]:
    """Nothing at all."""
    yield from _opened(empty_database, settings)


@pytest.fixture
def new_role(server: Server) -> Callable[[], str]:
    """Create a role that may log in and do nothing else; it goes with the server."""

    def create() -> str:
        role = f"role_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        return role

    return create


@pytest.fixture(scope="session")
def refreshed_template(
    server: Server, filled_template: str, store_files: Store, settings: Settings
) -> str:
    conninfo = server.create_database("night", filled_template)
    night = Night(conninfo, store_files, settings)
    night.refresh()
    night.session.close()
    return "night"


@pytest.fixture(scope="session")
def refreshed(
    server: Server, refreshed_template: str, store_files: Store, settings: Settings
) -> Iterator[Night]:
    """A night after its refresh. No test changes anything of it for good."""
    tonight = Night(server.create_database("kept", refreshed_template), store_files, settings)
    yield tonight
    tonight.session.close()


@pytest.fixture
def night(
    server: Server,
    refreshed_template: str,
    store_files: Store,
    settings: Settings,
    request: pytest.FixtureRequest,
) -> Iterator[Night]:
    name = f"night_{abs(hash(request.node.nodeid))}"
    tonight = Night(server.create_database(name, refreshed_template), store_files, settings)
    yield tonight
    tonight.session.close()
    server.drop_database(name)


class Include:
    """A copy of include/ that a test may edit."""

    def __init__(self, directory: Path, store: Store) -> None:
        self.directory = directory
        self.settings = replace(Settings(), include_dir=directory)
        self._read: Store | None = store

    def edit(self, path: str, old: str, new: str) -> Path:
        """Replace the first ``old``; fails where there is none."""
        text = (self.directory / path).read_text()
        assert old in text, f"{path} does not hold {old!r}"
        return self.write(path, text.replace(old, new, 1))

    def write(self, path: str, text: str) -> Path:
        self._read = None
        file = self.directory / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """The steps of the audit schema, as the files say now."""
        return read_migrations()

    @property
    def objects(self) -> int:
        """How many objects apply creates."""
        return len(store_objects(self.store, self.directory))

    @property
    def store(self) -> Store:
        """What the files say now; read again only after an edit."""
        if self._read is None:
            self._read = read_store(self.directory)
        return self._read


class Package:
    """A copy of the package's own SQL that a test may edit."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def edit(self, path: str, old: str, new: str) -> Path:
        """Replace the first ``old``; fails where there is none."""
        text = (self.directory / path).read_text()
        assert old in text, f"{path} does not hold {old!r}"
        return self.write(path, text.replace(old, new, 1))

    def write(self, path: str, text: str) -> Path:
        file = self.directory / path
        file.write_text(text)
        return file


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Another version of the package: its SQL is now read from a copy that a test may edit."""
    directory = shutil.copytree(PACKAGE_SQL, tmp_path / "package")
    monkeypatch.setattr(audit_migrations, "FOLDER", directory / "audit")
    monkeypatch.setattr(governance, "FOLDER", directory / "governance")
    return Package(directory)


@pytest.fixture
def include(tmp_path: Path, settings: Settings, store_files: Store) -> Include:
    shutil.copytree(settings.include_dir, tmp_path / "include")
    return Include(tmp_path / "include", store_files)
