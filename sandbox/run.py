"""`make run`: from nothing to a refreshed store, through the real DAG.

Starts the embedded PostgreSQL, loads a sample (or a CSV of listings, or what the store's folder
brings), applies the schema, stamps the contracts, runs the DAG once and says what came of it. What
is there already is kept: a second run with the same data only refreshes.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql

from feature_store.connection import one_value
from feature_store.database.session import pin
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.files.text_file import PACKAGE_SQL
from feature_store.declarations.store_definition import read_store
from feature_store.declarations.store_profile import read_profile
from feature_store.errors import StoreError
from feature_store.schema.apply import apply
from feature_store.schema.stamps.contract_stamp import stamp
from feature_store.schema.stamps.proof_stamp import stamp_proofs
from feature_store.settings import Settings, read_settings
from sandbox.csv_listings import CsvError
from sandbox.data import Data, find_data
from sandbox.home import (
    AIRFLOW,
    ENVIRONMENT,
    LOG,
    MAILS,
    OWNER_ENVIRONMENT,
    POSTGRES,
    airflow_environment,
    make_home,
    only_one,
    sandbox_settings,
)
from sandbox.load import TablesNotEmptyError
from sandbox.mailbox import Mailbox, mail_settings
from sandbox.progress import follow
from sandbox.roles import as_owner, as_refresher, grant_roles
from sandbox.sample.options import SampleOptions
from sandbox.server import Server, airflow_connection, start_server
from sandbox.summary import print_summary

_LOADING = "loading"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do everything; return the exit code."""
    options = _parser().parse_args(arguments)
    # Ending this process also ends the DAG's.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        make_home()
        with only_one() as lock:
            return _run(options, lock)
    except (StoreError, CsvError, TablesNotEmptyError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except (psycopg.Error, sqlite3.Error, OSError, subprocess.SubprocessError) as error:
        print(f"Error: {error}\nThe log, if it came that far: {_shown(LOG)}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("Stopped. The store keeps its last state; make run starts again.", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace, lock: int) -> int:
    settings = read_settings()
    if options.store and not options.store.is_dir():
        raise ValueError(f"No folder {options.store}; STORE=examples/bike_stations is one.")
    include_dir = (options.store or settings.include_dir).resolve()
    settings = replace(settings, include_dir=include_dir)
    data = find_data(
        include_dir,
        listings=options.listings,
        days=options.days,
        last_day=options.last_day,
        csv=options.csv,
    )
    _say(f"PostgreSQL starts in {_shown(POSTGRES)}.")
    server = start_server(POSTGRES)
    conninfo = _database(server, data)
    connection = airflow_connection(_create_store(conninfo, settings))
    environment = airflow_environment(connection, include_dir)
    _write_environment(ENVIRONMENT, connection, include_dir)
    as_its_owner = airflow_connection(as_owner(conninfo, include_dir))
    _write_environment(OWNER_ENVIRONMENT, as_its_owner, include_dir)
    _migrate_airflow(environment)
    with psycopg.connect(conninfo) as session:
        started = one_value(session, "SELECT clock_timestamp()")
    as_of_day = answered_day(data.newest(conninfo), datetime.now(UTC).date())
    _say(f"The DAG {read_profile(include_dir).dag_id} runs for {as_of_day}; its log: {_shown(LOG)}")
    with Mailbox(MAILS) as mailbox:
        before = mailbox.mails()
        code = _run_dag(as_of_day, environment | mail_settings(mailbox), lock)
        came = [path for path in mailbox.mails() if path not in before]
    print_summary(conninfo, settings, started, came, succeeded=code == 0)
    return code


def _database_name(data: Data) -> str:
    """One database for each data set and each state of the SQL files, also the package's own.

    So a changed file (an upgrade, an experiment) starts with a new database.
    """
    digest = hashlib.sha256()
    folders = (data.include_dir, PACKAGE_SQL)
    files = [path for folder in folders for path in sorted(folder.rglob("*.sql"))]
    for path in (data.include_dir / "store.toml", *files):
        digest.update(path.read_bytes())
    return f"{data.name[:54]}_{digest.hexdigest()[:8]}"  # a name's 63 bytes


def _database(server: Server, data: Data) -> str:
    name = _database_name(data)
    if server.has_database(name):
        _say(f"The database {name} is there already.")
        return server.database(name)
    # Loaded under another name, so that a database of this name is always fully loaded. That name
    # is always the same, so that the next run removes what a killed run has left.
    server.drop_database(_LOADING)
    try:
        _say(f"Loading sources into the new database {name}.")
        for table, rows in data.load(server.create_database(_LOADING)).items():
            _say(f"  {table}: {rows:,} rows")
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                    sql.Identifier(_LOADING), sql.Identifier(name)
                )
            )
    finally:
        server.drop_database(_LOADING)
    return server.database(name)


def _create_store(conninfo: str, settings: Settings) -> str:
    """Create and stamp what is missing; the connection string of the role that runs the DAG."""
    # As in production: an administrator grants, the owner applies, the refresher runs the DAG.
    grant_roles(conninfo, settings.include_dir)
    store = read_store(settings.include_dir)
    owner = as_owner(conninfo, settings.include_dir)
    with psycopg.connect(owner, autocommit=True) as connection:
        pin(connection, settings, "sandbox")
        plan = apply(connection, store, settings)
        if plan.creates:
            _say(f"Applied the schema: {len(plan.creates)} objects.")
        for feature_set in read_feature_sets(settings.include_dir):
            # On your own database you do this yourself: bin/feature-store stamp-contract
            checked = stamp(connection, feature_set, replace=False)
            _say(f"Contract {checked.name}: stamped, n={checked.live_n}, hash={checked.live_hash}")
        # And this, too: bin/feature-store stamp-proofs
        for change in stamp_proofs(connection, store, settings.include_dir):
            _say(f"Proofs stamped again: {change}")
    grant_roles(conninfo, settings.include_dir)
    return as_refresher(conninfo, settings.include_dir)


def _write_environment(file: Path, connection: str, include_dir: Path) -> None:
    """What a shell needs for the commands of the pages and the mails, ``airflow`` included."""
    settings = sandbox_settings(connection, include_dir)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()]
    programs = shlex.quote(str(Path(sys.executable).parent))
    file.write_text("".join([*lines, f'export PATH={programs}:"$PATH"\n']))


def _migrate_airflow(environment: dict[str, str]) -> None:
    done = AIRFLOW / "migrated"
    if done.exists():
        _end_abandoned_runs()
        return
    _say("Airflow makes its own database (once).")
    shutil.rmtree(AIRFLOW, ignore_errors=True)
    AIRFLOW.mkdir()
    with LOG.open("w") as log:
        command = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(command, env=environment, check=True, stdout=log, stderr=log)
    done.touch()


def _end_abandoned_runs() -> None:
    # A killed run would keep the store's lease, because no scheduler ends it here.
    with closing(sqlite3.connect(AIRFLOW / "airflow.db")) as connection, connection:
        connection.execute("UPDATE dag_run SET state = 'failed' WHERE state = 'running'")


def _run_dag(as_of_day: date, environment: dict[str, str], lock: int) -> int:
    with LOG.open("w") as log:
        command = [sys.executable, "-m", "sandbox.dag_run", as_of_day.isoformat()]
        # It keeps the lock as long as it lives, even if this process is killed.
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[lock],
        )
        try:
            follow(process, AIRFLOW / "airflow.db")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    return process.returncode


def answered_day(newest: date | None, today: date) -> date:
    """The day that the run answers for: today, as at night; for old data its last day."""
    return newest if newest and newest < today - timedelta(days=1) else today


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--store", type=Path, help="its folder; default: the settings'")
    parser.add_argument("--listings", type=int)
    parser.add_argument("--days", type=int, default=SampleOptions.days)
    # As of this night, so that the result is as fresh as a store that is filled every day.
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    parser.add_argument("--last-day", type=_day, default=yesterday)
    parser.add_argument("--csv", help="a CSV of listings, plain or .gz, instead of the sample")
    return parser


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day, such as 2026-06-30") from None


def _shown(path: Path) -> str:
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
