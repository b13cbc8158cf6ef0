"""The server to measure on: an embedded one of our own, or the user's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench.machine import memory_bytes
from feature_store.connection import Connection
from feature_store.database.session import SUPPORTED_SERVERS
from feature_store.errors import BadInput, CannotConnect, NotReady
from sandbox.home import HOME, SERVERS
from sandbox.server import Server, start_server, stop_server

BENCH_HOME = HOME / "bench"
_BENCH_SERVER = SERVERS / "bench"
_PREFIX = "feature_store_bench"
_MOST_SHARED_BUFFERS = 4 * 1024**3


@dataclass(frozen=True)
class Profile:
    """A set of server settings under which to measure.

    Attributes:
        name: what the results call it.
        settings: what differs from the server's defaults.
    """

    name: str
    settings: tuple[tuple[str, str], ...] = ()


def tuned() -> Profile:
    """What a DBA would set for a server on this machine: sizes only, nothing about queries."""
    memory = memory_bytes()
    buffers = min(memory // 4, _MOST_SHARED_BUFFERS) // 1024**2
    return Profile(
        "tuned",
        (
            ("shared_buffers", f"{buffers}MB"),
            ("effective_cache_size", f"{memory // 2 // 1024**2}MB"),
            ("max_wal_size", "4GB"),
            ("checkpoint_timeout", "15min"),
        ),
    )


DEFAULT = Profile("default")
AS_IT_IS = Profile("as it is")


@dataclass(frozen=True)
class BenchServer:
    """A server that we may create databases on.

    Attributes:
        server: how it is reached.
        data_dir: of an embedded server; None of the user's, whose settings we leave alone.
    """

    server: Server
    data_dir: Path | None

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The sets of settings that can be measured here, the one with all variants first."""
        return (tuned(), DEFAULT) if self.data_dir else (AS_IT_IS,)

    def use(self, profile: Profile) -> None:
        """Restart the server with other settings; the user's own server is left as it is."""
        if self.data_dir is None:
            return
        with psycopg.connect(self.server.conninfo, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM RESET ALL")
            for name, value in profile.settings:
                connection.execute(
                    sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value)
                )
        stop_server(self.data_dir)
        start_server(self.data_dir)

    @contextmanager
    def scratch_database(self, purpose: str) -> Iterator[str]:
        """A new, empty database, dropped at the end; gives its connection string.

        Raises:
            NotReady: the role may not create databases.
        """
        name = f"{_PREFIX}_{os.getpid()}_{purpose}"
        try:
            conninfo = self.server.create_database(name)
        except psycopg.errors.InsufficientPrivilege as error:
            raise NotReady(
                f"The benchmark needs a scratch database of its own: {error.diag.message_primary}.",
                next_step="Give the role CREATEDB, or leave DSN away to use an embedded server.",
            ) from error
        try:
            yield conninfo
        finally:
            self.server.drop_database(name)


@contextmanager
def open_server(dsn: str) -> Iterator[BenchServer]:
    """Start the embedded server, or reach the user's; an embedded one is stopped at the end.

    Args:
        dsn: a libpq connection string, or empty for the embedded server.

    Raises:
        BadInput: the DSN cannot be read, or its server is of a version that we do not support.
        CannotConnect: the server cannot be reached.
    """
    if dsn:
        yield _reach(dsn)
        return
    data_dir = _BENCH_SERVER / "postgres"
    server = BenchServer(start_server(data_dir), data_dir)
    try:
        _drop_leftovers(server.server)
        yield server
    finally:
        stop_server(data_dir)


def free_bytes(home: Path = _BENCH_SERVER) -> int:
    """What is free on the disk that holds the embedded server's data."""
    while not home.exists():
        home = home.parent
    return shutil.disk_usage(home).free


def _reach(dsn: str) -> BenchServer:
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise BadInput(f"DSN is not a libpq connection string: {str(error).strip()}") from None
    conninfo = make_conninfo(dsn, connect_timeout=parts.get("connect_timeout") or 10)
    try:
        with psycopg.connect(conninfo) as connection:
            _check_version(connection)
    except psycopg.OperationalError as error:
        raise CannotConnect(
            f"The server of DSN cannot be reached: {str(error).strip()}",
            next_step="Check DSN, or leave it away to use an embedded server.",
        ) from error
    return BenchServer(Server(conninfo), None)


def _check_version(connection: Connection) -> None:
    major = connection.info.server_version // 10000
    oldest, newest = SUPPORTED_SERVERS
    if not oldest <= major <= newest:
        raise BadInput(f"The server is PostgreSQL {major}; expected {oldest} to {newest}.")


def _drop_leftovers(server: Server) -> None:
    # Left by a killed benchmark. Nobody else uses the embedded server.
    with psycopg.connect(server.conninfo) as connection:
        names = connection.execute(
            "SELECT datname FROM pg_catalog.pg_database WHERE datname LIKE %s", (f"{_PREFIX}%",)
        ).fetchall()
    for (name,) in names:
        server.drop_database(name)
