"""Where stores are broken: databases to break, and the real DAG that runs on them.

Airflow reads its environment when it is first imported, so import this module after that is set.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

import psycopg

from feature_store.database.session import pin
from feature_store.declarations.store_definition import read_store
from feature_store.schema.first_start import bootstrap
from feature_store.schema.stamps.proof_stamp import stamp_proofs
from feature_store.settings import Settings
from sandbox.breakages.breakage import Breakage, Scene
from sandbox.breakages.one_run import run_dag
from sandbox.breakages.run_result import RunResult, read_result
from sandbox.data import Data
from sandbox.mailbox import Mailbox, mail_settings
from sandbox.server import Server, airflow_connection, start_server, stop_server

_NOWHERE = '{"conn_type": "smtp", "host": "127.0.0.1", "port": 1, "extra": {"retry_limit": 1}}'


class Lab:
    """Breaks stores on a server.

    Each breakage gets a database of its own, copied from one that has had a good run.
    """

    def __init__(self, server: Server, home: Path, place: Path) -> None:
        """Prepare it.

        Args:
            server: where the databases are made; they are dropped afterwards.
            home: where mails, reports and edited files are left, a folder per breakage.
            place: a folder for servers, which their system users may enter.
        """
        self._server = server
        self._home = home
        self._place = place
        self._templates: dict[Data, str] = {}

    def run(self, breakage: Breakage) -> RunResult:
        """Break a store, run the DAG on it, and return the result."""
        home = self._home / breakage.name
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        include = breakage.data.include_dir
        if breakage.edit:
            include = shutil.copytree(include, home / "include")
            breakage.edit(include)
        if not breakage.own_server:
            with self._database(self._server, breakage, include) as conninfo:
                return _break_and_run(breakage, conninfo, home, include)
        own = self._place / breakage.name
        server = start_server(own)
        try:
            with self._database(server, breakage, include) as conninfo:
                return _break_and_run(breakage, conninfo, home, include, own)
        finally:
            stop_server(own)

    @contextmanager
    def _database(self, server: Server, breakage: Breakage, include: Path) -> Iterator[str]:
        name = f"breakage_{breakage.name.replace('-', '_')}"
        server.drop_database(name)
        if breakage.rebuilt or breakage.own_server:
            conninfo = _build(server, name, breakage.data, include)
        else:
            conninfo = server.create_database(name, self._template(breakage.data))
            if breakage.edit:
                _stamp(conninfo, include)
        yield conninfo
        if not breakage.own_server:
            server.drop_database(name)

    def _template(self, data: Data) -> str:
        """A database with these data that has had a good run."""
        if data not in self._templates:
            name = f"good_{data.name}"
            self._server.drop_database(name)
            conninfo = _build(self._server, name, data, data.include_dir)
            with _environment(_settings(conninfo, self._home / name, data.include_dir)):
                ended = run_dag(_as_of_day(data, conninfo))
            if ended.state != "success":
                raise RuntimeError(f"The run that nothing disturbed ended as {ended.state}.")
            self._templates[data] = name
        return self._templates[data]


def _as_of_day(data: Data, conninfo: str) -> date:
    newest = data.newest(conninfo)
    if newest is None:
        raise RuntimeError("A store without a row is not broken here.")
    return newest


def _build(server: Server, name: str, data: Data, include: Path) -> str:
    conninfo = server.create_database(name)
    data.load(conninfo)
    settings = Settings(include_dir=include)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "breakages")
        bootstrap(connection, read_store(include), settings)
    return conninfo


def _stamp(conninfo: str, include: Path) -> None:
    """Stamp what was edited, because a run with unstamped proofs does no work."""
    settings = Settings(include_dir=include)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "breakages")
        stamp_proofs(connection, read_store(include), include)


def _break_and_run(
    breakage: Breakage, conninfo: str, home: Path, include: Path, own: Path | None = None
) -> RunResult:
    mailbox = Mailbox(home / "mails")
    settings = _settings(conninfo, home, include) | mail_settings(mailbox)
    with ExitStack() as stack:
        if breakage.mail_server:
            stack.enter_context(mailbox)
        else:
            settings["AIRFLOW_CONN_SMTP_DEFAULT"] = _NOWHERE
        stack.enter_context(_environment(settings))
        connection = stack.enter_context(psycopg.connect(conninfo, autocommit=True))
        afterwards = stack.enter_context(ExitStack())
        scene = Scene(connection, conninfo, lambda: _stop(own), afterwards)
        if breakage.before:
            breakage.before(scene)
        ended = run_dag(_as_of_day(breakage.data, conninfo), breakage, scene)
        afterwards.close()
        if own:
            start_server(own)
        return read_result(ended, conninfo, mailbox.alarms(), home / "reports", breakage)


def _stop(own: Path | None) -> None:
    if own is None:
        raise RuntimeError("Only a server of the breakage's own may be stopped.")
    stop_server(own)


def _settings(conninfo: str, home: Path, include: Path) -> dict[str, str]:
    return {
        "AIRFLOW_CONN_FEATURE_STORE": airflow_connection(conninfo),
        "FEATURE_STORE_INCLUDE_DIR": str(include),
        "FEATURE_STORE_REPORT_DIR": str(home / "reports"),
    }


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
