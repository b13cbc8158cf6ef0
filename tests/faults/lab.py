"""Where nights are run: a server, a store, the wire to it, a mail server, workers, a cable."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from feature_store.connection import Connection
from feature_store.database.session import pin
from feature_store.declarations.store_definition import read_store
from feature_store.schema.first_start import bootstrap
from feature_store.settings import Settings
from sandbox.load import load_sample
from sandbox.mailbox import Mailbox, mail_settings
from sandbox.programs import DEFAULT_VERSION, run_program
from sandbox.roles import OWNER, REFRESHER, as_role, grant_roles
from sandbox.sample.options import SampleOptions
from sandbox.server import (
    Server,
    airflow_connection,
    folder_for_servers,
    start_server,
    stop_server,
)
from tests.faults.book import Book
from tests.faults.wire import Wire
from tests.faults.worker import Dag, Worker, load
from tests.network import Network, why_no_networks

IDLE = 6
"""Seconds after which the server ends a transaction whose client does nothing."""
_IMPATIENT = {
    "LOCK_TIMEOUT": "3",
    "STATEMENT_TIMEOUT": "120",
    "CONNECT_TIMEOUT": "3",
    "SILENCE_TIMEOUT": "3",
    "IDLE_TRANSACTION_TIMEOUT": str(IDLE),
    "LEASE_GRACE": "5",
    "LEASE_POLL": "10",
    "MAIL_TIMEOUT": "6",
}


class Lab:
    """All that a night needs.

    Attributes:
        dag: the DAG, as the scheduler has it.
        conninfo: how a superuser connects to the store, past the wire.
        wire: between the tasks and the server.
        network: a cable that can be pulled; None where this machine has none.
        mailbox: where all mails arrive, through whichever mail server.
        reports: the folder of the reports.
        log: what tasks and programs write.
    """

    def __init__(self, dag: Dag, worker: Worker, book: Book, place: Path, home: Path) -> None:
        """Start everything; `laboratory` stops it."""
        self.dag, self.worker, self.book = dag, worker, book
        self.network = None if why_no_networks() else Network()
        self._data = place / "postgres"
        self.log = home / "log"
        self.reports = home / "reports"
        self.mailbox = Mailbox(home / "mails")
        server = self.start()
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            # What is not yet on disk is lost only if this machine dies, not if the server does.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
            connection.execute("SELECT pg_reload_conf()")
        self.conninfo = _build(server)
        self.wire = Wire(as_role(self.conninfo, REFRESHER))

    def start(self) -> Server:
        """Start the server, on the other machine of the cable if there is one."""
        if self.network is None:
            return start_server(self._data)
        if not self._data.exists():
            start_server(self._data)
            stop_server(self._data)
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all 10.0.0.0/8 trust\n")
        by_tcp = {"listen_addresses": self.network.server_address}
        return self.network.server.run(lambda: start_server(self._data, settings=by_tcp))

    def crash(self) -> None:
        """Kill the server, so that it writes nothing more, and start it again."""
        run_program(DEFAULT_VERSION, self._data, "pg_ctl", "-w", "-m", "immediate", "stop")
        self.start()

    def stop(self) -> None:
        stop_server(self._data)
        if self.network:
            self.network.close()

    @property
    def by_cable(self) -> str:
        """How to connect to the store by the cable, instead of through the wire."""
        assert self.network is not None
        return make_conninfo(
            as_role(self.conninfo, REFRESHER), host=self.network.server_address, sslmode="disable"
        )

    def environment(self, conninfo: str | None = None) -> dict[str, str]:
        """The environment of a task.

        Args:
            conninfo: how the task connects to the store; through the wire, if it is not given.
        """
        return {
            "AIRFLOW_CONN_FEATURE_STORE": airflow_connection(conninfo or self.wire.conninfo),
            "FEATURE_STORE_REPORT_DIR": str(self.reports),
            **{f"FEATURE_STORE_{name}": value for name, value in _IMPATIENT.items()},
            **mail_settings(self.mailbox),
        }

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A superuser's session, which does not go through the wire."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            yield connection


@contextmanager
def laboratory(home: Path) -> Iterator[Lab]:
    """A lab; all that it started is ended afterwards.

    Args:
        home: where mails, reports and logs are left.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        book = Book(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "book")
        dag = load()
        worker = Worker(book, dag)  # before this process has threads
        stack.callback(worker.close)
        place = stack.enter_context(folder_for_servers("faults-"))
        lab = Lab(dag, worker, book, place, home)
        stack.callback(lab.stop)
        stack.enter_context(lab.wire)
        stack.enter_context(lab.mailbox)
        yield lab


def _build(server: Server) -> str:
    conninfo = server.create_database("faults")
    settings = Settings()
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pin(connection, settings, "faults")
        load_sample(connection, SampleOptions(listings=300, days=20))
    grant_roles(conninfo)
    with psycopg.connect(as_role(conninfo, OWNER), autocommit=True) as connection:
        pin(connection, settings, "faults")
        bootstrap(connection, read_store(settings.include_dir), settings)
    grant_roles(conninfo)
    return conninfo
