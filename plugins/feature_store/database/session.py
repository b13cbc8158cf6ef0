"""Sessions on the store's database: one Airflow connection, with all result settings pinned.

``timestamptz::date`` depends on the session's zone, unqualified names on its search_path, and the
text form of values on several other settings. Every session here sets them all, so results never
depend on who runs a refresh, or from where.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.rows import tuple_row

from feature_store.connection import Connection, one_value
from feature_store.database.connection_fields import read_extra, unusable
from feature_store.database.pooling import refuse_shared_sessions
from feature_store.database.silent_connections import client_options, server_settings
from feature_store.errors import BadInput, CannotConnect, ConnectionRefused, IsStandby
from feature_store.settings import Settings

log = logging.getLogger(__name__)

SUPPORTED_SERVERS = (15, 18)

# Limits and preferences of a role or a database, which must not affect these sessions.
_ALWAYS = {
    # How values are read and written.
    "array_nulls": "on",
    "backslash_quote": "safe_encoding",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "timezone_abbreviations": "Default",
    "xmloption": "content",
    # Which rows are found: a limit here leaves some out, by chance.
    "gin_fuzzy_search_limit": "0",
    "restrict_nonsystem_relation_kind": "",
    # The defaults of transactions.
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    # How rows are stored: their states are read from how a heap stores them (`row_versions`).
    "default_table_access_method": "heap",
    # How long a session lives.
    "exit_on_error": "off",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}

# How libpq and psycopg begin a complaint about a value, before they ask any server.
_INVALID = re.compile(r"connection is bad: invalid |could not match |cannot match ")

# What a server says that answers and lets nobody in.
_REFUSED = re.compile(r"\bFATAL: +(.+)")


@contextmanager
def open_session(settings: Settings, purpose: str) -> Iterator[Connection]:
    """Open a pinned session in autocommit mode; close it at the end.

    Args:
        settings: names the Airflow connection, the zone and the timeouts.
        purpose: shown to the DBA as part of application_name.

    Raises:
        BadInput: Airflow does not know the connection, or it cannot be used.
        CannotConnect: the server cannot be reached or refuses the login.
    """
    connection = connect(settings, purpose)
    try:
        yield connection
    finally:
        connection.close()


def connect(settings: Settings, purpose: str) -> Connection:
    """Open a pinned session as `open_session` does; the caller closes it."""
    connection = _connect(settings)
    try:
        connection.autocommit = True
        connection.row_factory = tuple_row  # whatever the Airflow connection asks for
        refuse_shared_sessions(connection, lambda: _connect(settings))
        pin(connection, settings, purpose)
    except BaseException:
        connection.close()
        raise
    return connection


def pin(connection: Connection, settings: Settings, purpose: str) -> None:
    """Set everything that decides results, timeouts and memory, for the rest of the session."""
    # After a rollback psycopg sends a statement of its own to drop what it prepared. That statement
    # would take the next transaction's snapshot, before the `read_locks`.
    connection.prepare_threshold = None
    values = {
        "application_name": f"feature_store {purpose}",
        "TimeZone": settings.zone,
        "search_path": "pg_catalog",
        "client_encoding": "UTF8",
        "standard_conforming_strings": "on",
        # A row-level policy is somebody else's code: refuse a query that would run one.
        "row_security": "off",
        "DateStyle": "ISO, YMD",
        "IntervalStyle": "postgres",
        "extra_float_digits": "1",
        "bytea_output": "hex",
        "transform_null_equals": "off",
        "quote_all_identifiers": "off",
        **_ALWAYS,
        **server_settings(settings),
        "lock_timeout": f"{settings.lock_timeout}s",
        "statement_timeout": f"{settings.statement_timeout}s",
        # Only for speed: few statements here run long enough to be worth compiling.
        "jit": "off",
        "work_mem": settings.work_mem,
        "temp_buffers": settings.work_mem,
    }
    # An older server does not have this setting, so nobody can have set it.
    connection.execute(
        "SELECT pg_catalog.set_config(p.name, p.value, false) "
        "FROM pg_catalog.json_each_text(%s::pg_catalog.json) AS p (name, value) "
        "WHERE pg_catalog.current_setting(p.name, true) IS NOT NULL",
        (json.dumps(values),),
    )
    try:
        # When a client closes its socket, the server notices within a second and stops its SQL.
        # Not every platform that PostgreSQL runs on can do that.
        connection.execute("SET client_connection_check_interval = '1s'")
    except psycopg.errors.InvalidParameterValue as error:
        log.info("The server cannot notice when a client is gone: %s", error)


def refuse_standby(connection: Connection, settings: Settings) -> None:
    """Check that the server takes changes.

    Raises:
        IsStandby: as the old primary may be after a failover.
    """
    if one_value(connection, "SELECT pg_catalog.pg_is_in_recovery()"):
        raise IsStandby(
            f"The server at {connection.info.host}:{connection.info.port} is a standby, which only "
            "reads.",
            readers="nothing was changed.",
            next_step=f"Let the Airflow connection {settings.conn_id!r} find the primary: name all "
            "servers in its host, and target_session_attrs=read-write in its extra.",
        )


def server_major(connection: Connection) -> int:
    """The server's major version."""
    return connection.info.server_version // 10000


def _connect(settings: Settings) -> Connection:
    conn_id = settings.conn_id
    try:
        # Airflow's hook imports slowly, and a DAG file must not pay for that.
        from airflow.providers.postgres.hooks.postgres import PostgresHook
        from airflow.sdk.exceptions import (
            AirflowNotFoundException,
            AirflowOptionalProviderFeatureException,
        )
    except Exception as error:  # it reads its configuration as it is imported
        raise BadInput(
            f"Airflow cannot be used: {error}",
            next_step="Fix its configuration, AIRFLOW_HOME and the AIRFLOW__ variables.",
        ) from error

    hook = PostgresHook(conn_id, enable_log_db_messages=True)
    try:
        described = hook.connection
    except AirflowNotFoundException as error:
        raise BadInput(
            f"Airflow has no connection called {conn_id!r}{_unreadable(conn_id)}.",
            next_step=f"Add it: airflow connections add {conn_id} --conn-uri postgresql://…, "
            f"or set the variable AIRFLOW_CONN_{conn_id.upper()}.",
        ) from error
    extra = read_extra(described, PostgresHook.ignored_extra_options)
    described.extra = json.dumps(client_options(settings) | extra)
    try:
        connection = hook.get_conn()
    except (
        psycopg.ProgrammingError,
        AirflowOptionalProviderFeatureException,
        AirflowNotFoundException,  # the connection that provides a token
        # What the hook makes of its own fields of the extra.
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        raise unusable(conn_id, str(error).strip()) from error
    except psycopg.OperationalError as error:
        if _INVALID.match(str(error)):
            raise unusable(conn_id, str(error).strip()) from error
        where = f"{described.host or 'localhost'}:{described.port or 5432}/{described.schema or ''}"
        raise _no_session(
            f"Cannot connect to {where} as {described.login}: {str(error).strip()}", conn_id
        ) from error
    if not isinstance(connection, psycopg.Connection):
        raise BadInput(
            "Airflow connects with psycopg2; this package needs psycopg 3.",
            next_step="Install what requirements.txt names.",
        )
    return connection


def _no_session(problem: str, conn_id: str) -> CannotConnect:
    """Why there is no session. What the server answered comes first: subjects are cut short."""
    unchanged = "nothing was changed."
    if (answer := _REFUSED.search(problem)) is None:
        step = f"Check the server, and the Airflow connection {conn_id!r}."
        return CannotConnect(problem, readers=unchanged, next_step=step)
    return ConnectionRefused(
        f"{ConnectionRefused.BEGINS}{answer[1].strip()}\n{problem}",
        readers=unchanged,
        next_step="Do what its answer names: wait until it has started, let it take the login (its "
        f"rights, password, limit of connections), or correct the Airflow connection {conn_id!r}.",
    )


def _unreadable(conn_id: str) -> str:
    """Words about a variable that is set but that Airflow could not read; never its value."""
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    return f", or cannot read the variable {variable}" if variable in os.environ else ""
