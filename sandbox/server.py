"""An embedded PostgreSQL for `make run` and the tests: real servers, nothing to install.

A server's socket is in its data directory, which only its owner may enter. There is no other way
in, and no password. Nothing outside that folder is made or changed.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from feature_store.database.session import SUPPORTED_SERVERS
from feature_store.errors import BadInput
from sandbox.programs import (
    DEFAULT_VERSION,
    binaries,
    hand_over,
    make_passable,
    require_passage,
    run_program,
)

_PORT = "5432"
_SOCKET = f".s.PGSQL.{_PORT}"
_LONGEST_SOCKET = 103  # bytes: what every operating system takes
_IN_MEMORY = Path("/dev/shm")  # noqa: S108  # Linux: files in memory, for everybody
_ENOUGH_ROOM = 8 * 2**30  # bytes: several servers at once


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
                # Quicker than by the log, which nobody replays here.
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return self.database(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, even if somebody is connected."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


def start_server(
    data_dir: Path, version: int = DEFAULT_VERSION, settings: Mapping[str, str] | None = None
) -> Server:
    """Start a server on a data directory, made if it is missing; join it if it is running.

    It keeps running when this process ends.

    Args:
        data_dir: the server's own directory; reached through a socket in it, no port is opened.
        version: PostgreSQL's major version.
        settings: of the server, instead of those that close it to everybody but its owner.

    Raises:
        BadInput: the directory cannot be a server's. Nothing was done.
        FileNotFoundError: there are no binaries of that version.
        subprocess.CalledProcessError: it does not start; what it said is logged.
    """
    data_dir = data_dir.absolute()
    if version not in available_versions():
        raise FileNotFoundError(f"There are no binaries of PostgreSQL {version} here.")
    _require_suitable(data_dir, version)
    if _postmaster(data_dir) is None:
        if not (data_dir / "PG_VERSION").exists():
            _create(data_dir, version)
        options = {
            "listen_addresses": "",
            "port": _PORT,
            "unix_socket_directories": str(data_dir),
            "unix_socket_permissions": "0700",
            **(settings or {}),
        }
        given = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in options.items())
        run_program(version, data_dir, "pg_ctl", "-w", "-o", given, "-l", "log", "start")
    return Server(make_conninfo(host=str(data_dir), port=_PORT, user="postgres", dbname="postgres"))


def available_versions() -> tuple[int, ...]:
    """The versions that can be started here, newest first."""
    oldest, newest = SUPPORTED_SERVERS
    return tuple(v for v in range(newest, oldest - 1, -1) if binaries(v).is_dir())


def stop_server(data_dir: Path) -> bool:
    """Stop the server of a data directory. False if none was running."""
    data_dir = data_dir.absolute()
    if _postmaster(data_dir) is None:
        return False
    version = int((data_dir / "PG_VERSION").read_text())
    run_program(version, data_dir, "pg_ctl", "-w", "-m", "fast", "stop")
    return True


def folder_in_memory() -> str | None:
    """Where temporary files are quickest; None, the usual place, if that has too little room.

    A database is made there in a tenth of the time.
    """
    if not _IN_MEMORY.is_dir() or not os.access(_IN_MEMORY, os.W_OK):
        return None
    room = min(shutil.disk_usage(_IN_MEMORY).free, psutil.virtual_memory().available)
    return str(_IN_MEMORY) if room >= _ENOUGH_ROOM else None


@contextmanager
def folder_for_servers(prefix: str) -> Iterator[Path]:
    """A temporary folder for data directories, which the servers' system user may pass through."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder_in_memory()) as directory:
        folder = Path(directory)
        require_passage(folder.parent)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        yield folder


def run_psql(conninfo: str, script: Path, **variables: str) -> str:
    """Run a file with psql, as the role of the connection string. Gives what it printed.

    Args:
        conninfo: which database, and as whom.
        script: the file.
        variables: psql's, as with its option ``-v``.

    Raises:
        subprocess.CalledProcessError: it failed; ``stderr`` says why.
    """
    psql = binaries() / "psql"
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


def _require_suitable(data_dir: Path, version: int) -> None:
    longest = _LONGEST_SOCKET - len(f"/{_SOCKET}")
    if len(os.fsencode(data_dir)) > longest:
        raise BadInput(
            f"The path is too long for the socket of a server: {data_dir} has "
            f"{len(os.fsencode(data_dir))} bytes, at most {longest} fit.",
            next_step="Move the clone to a shorter path (TMPDIR, if it is a temporary folder).",
        )
    if "," in str(data_dir):
        raise BadInput(
            f"No connection string can name {data_dir}: a comma separates hosts there.",
            next_step="Move the clone to a path without one.",
        )
    require_passage(data_dir.parent)
    with suppress(FileNotFoundError):
        found = (data_dir / "PG_VERSION").read_text().strip()
        if found != str(version):
            raise BadInput(
                f"{data_dir} is of PostgreSQL {found}; expected {version}.",
                next_step="Remove it (make clean removes that of make run) or name its version.",
            )


def _create(data_dir: Path, version: int) -> None:
    _end_leftovers(data_dir)
    make_passable(data_dir.parent)
    data_dir.mkdir(mode=0o700, exist_ok=True)
    data_dir.chmod(0o700)
    hand_over(data_dir)
    # Whoever may enter the directory is trusted; nobody comes by TCP.
    trust = ("--auth-local=trust", "--auth-host=reject")
    run_program(version, data_dir, "initdb", "--username=postgres", "--encoding=UTF8", *trust)


def _postmaster(data_dir: Path) -> psutil.Process | None:
    """The server that runs on a data directory."""
    # No such file, an unfinished one, or the number of a process that is gone or is another's now.
    with suppress(OSError, ValueError, IndexError, psutil.Error):
        process = psutil.Process(int((data_dir / "postmaster.pid").read_text().splitlines()[0]))
        if process.name() == "postgres" and process.cwd() == str(data_dir.resolve()):
            return process
    return None


def _end_leftovers(data_dir: Path) -> None:
    """End what still runs on a directory that was deleted: it would take the new one's socket."""
    left = [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == "postgres" and process.info["cwd"] == str(data_dir.resolve())
    ]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGQUIT)
    psutil.wait_procs(left, timeout=5)
