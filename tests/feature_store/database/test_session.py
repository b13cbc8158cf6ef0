"""Sessions: one Airflow connection, with every setting pinned that decides results."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from feature_store.database.session import connect, open_session, server_major
from feature_store.errors import BadInput, CannotConnect, ConnectionRefused, passes_on_its_own
from feature_store.reporting.run.short_cause import cause_of


def test_a_hostile_database_cannot_change_what_decides_results_or_a_sessions_life(
    store_db, airflow_conn, settings
):
    name = sql.Identifier(store_db.connection.info.dbname).as_string()
    hostile = {
        "TimeZone": "Pacific/Auckland",
        "search_path": "ml",
        "client_encoding": "LATIN1",
        "standard_conforming_strings": "off",
        "row_security": "on",
        "DateStyle": "German",
        "IntervalStyle": "iso_8601",
        "extra_float_digits": "-15",
        "bytea_output": "escape",
        "transform_null_equals": "on",
        "quote_all_identifiers": "on",
        "lock_timeout": "1h",
        "statement_timeout": "9h",
        "array_nulls": "off",
        "backslash_quote": "on",
        "lc_monetary": "C.UTF-8",
        "lc_numeric": "C.UTF-8",
        "lc_time": "C.UTF-8",
        "timezone_abbreviations": "India",
        "xmloption": "document",
        "gin_fuzzy_search_limit": "1",
        "restrict_nonsystem_relation_kind": "view",
        "default_transaction_deferrable": "on",
        "default_transaction_isolation": "serializable",
        "default_transaction_read_only": "on",
        "default_table_access_method": "kept_elsewhere",
        "exit_on_error": "on",
        "idle_session_timeout": "1h",
        "transaction_timeout": "1h",
        "idle_in_transaction_session_timeout": "1h",
    }
    store_db.run("CREATE ACCESS METHOD kept_elsewhere TYPE TABLE HANDLER heap_tableam_handler")
    known = {known for (known,) in store_db.rows("SELECT name FROM pg_settings")}
    hostile = {setting: value for setting, value in hostile.items() if setting in known}
    for setting, value in hostile.items():
        store_db.run(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    airflow_conn(store_db.conninfo)
    with open_session(settings, "plan") as connection:
        assert connection.execute("SELECT current_setting('TimeZone')").fetchone() == ("UTC",)
        shown = {
            s: connection.execute("SELECT current_setting(%s)", (s,)).fetchone()[0] for s in hostile
        }
        purpose = connection.execute("SELECT current_setting('application_name')").fetchone()
    expected = {
        "TimeZone": "UTC",
        "search_path": "pg_catalog",
        "client_encoding": "UTF8",
        "standard_conforming_strings": "on",
        "row_security": "off",
        "DateStyle": "ISO, YMD",
        "IntervalStyle": "postgres",
        "extra_float_digits": "1",
        "bytea_output": "hex",
        "transform_null_equals": "off",
        "quote_all_identifiers": "off",
        "lock_timeout": "10s",
        "statement_timeout": "2h",
        "array_nulls": "on",
        "backslash_quote": "safe_encoding",
        "lc_monetary": "C",
        "lc_numeric": "C",
        "lc_time": "C",
        "timezone_abbreviations": "Default",
        "xmloption": "content",
        "gin_fuzzy_search_limit": "0",
        "restrict_nonsystem_relation_kind": "",
        "default_transaction_deferrable": "off",
        "default_transaction_isolation": "read committed",
        "default_transaction_read_only": "off",
        "default_table_access_method": "heap",
        "exit_on_error": "off",
        "idle_session_timeout": "0",
        "transaction_timeout": "0",
        "idle_in_transaction_session_timeout": "5min",
    }
    assert shown == {setting: expected[setting] for setting in hostile}
    assert purpose == ("feature_store plan",)


def test_the_zone_and_the_timeouts_are_those_of_the_settings(store_db, airflow_conn, settings):
    airflow_conn(store_db.conninfo)
    ours = replace(settings, zone="Europe/Oslo", lock_timeout=3, statement_timeout=0)
    with open_session(ours, "x") as connection:
        row = connection.execute(
            "SELECT current_setting('TimeZone'), current_setting('lock_timeout'), "
            "current_setting('statement_timeout')"
        ).fetchone()
    assert row == ("Europe/Oslo", "3s", "0")


def test_pins_survive_a_transaction_that_fails(store_db, airflow_conn, settings):
    airflow_conn(store_db.conninfo, options="-c TimeZone=Asia/Tokyo")
    with open_session(settings, "x") as connection:
        with pytest.raises(psycopg.Error), connection.transaction():
            connection.execute("SELECT 1 / 0")
        assert connection.execute("SHOW TimeZone").fetchone() == ("UTC",)


def test_rows_are_tuples_whatever_the_airflow_connection_asks_for(store_db, airflow_conn, settings):
    airflow_conn(store_db.conninfo, cursor="dictcursor")
    with open_session(settings, "x") as connection:
        assert connection.autocommit
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("ends", ["well", "with an error"])
def test_the_session_is_closed_at_the_end(store_db, airflow_conn, settings, ends):
    airflow_conn(store_db.conninfo)
    try:
        with open_session(settings, "x") as connection:
            if ends != "well":
                raise KeyError
    except KeyError:
        pass
    assert connection.closed


def test_a_client_that_dies_is_noticed_within_a_second(store_db, airflow_conn, settings):
    airflow_conn(store_db.conninfo)
    with open_session(settings, "x") as connection:
        assert connection.execute("SHOW client_connection_check_interval").fetchone() == ("1s",)


def test_the_servers_major_version_is_that_of_the_server(store_db):
    assert (
        f"{server_major(store_db.connection)}"
        == store_db.value("SHOW server_version").split(".")[0]
    )


def test_an_unknown_connection_id_is_named_with_how_to_define_it(settings):
    with (
        pytest.raises(BadInput) as caught,
        open_session(replace(settings, conn_id="no_such_store"), "x"),
    ):
        pass
    assert caught.value.problem == "Airflow has no connection called 'no_such_store'."
    assert caught.value.next_step == (
        "Add it: airflow connections add no_such_store --conn-uri postgresql://…, "
        "or set the variable AIRFLOW_CONN_NO_SUCH_STORE."
    )


def test_a_refused_connection_says_where_and_as_whom_and_keeps_the_password(
    tmp_path, airflow_conn, settings
):
    airflow_conn(f"host={tmp_path} port=5999 user=rob password=topsecret dbname=shop")
    with pytest.raises(CannotConnect) as caught, open_session(settings, "x"):
        pass
    assert caught.value.problem.startswith(f"Cannot connect to {tmp_path}:5999/shop as rob: ")
    assert "No such file or directory" in caught.value.problem
    assert caught.value.readers == "nothing was changed."
    assert caught.value.next_step == (
        "Check the server, and the Airflow connection 'feature_store'."
    )
    assert "topsecret" not in str(caught.value)


def test_a_refused_login_is_a_refused_connection(store_db, airflow_conn, settings):
    airflow_conn(make_conninfo(store_db.conninfo, user="nobody_of_that_name"))
    with pytest.raises(CannotConnect, match="nobody_of_that_name"), open_session(settings, "x"):
        pass
    airflow_conn(make_conninfo(store_db.conninfo, dbname="no_such_database"))
    with pytest.raises(CannotConnect, match="no_such_database"), open_session(settings, "x"):
        pass


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ("CONNECTION LIMIT 0", 'too many connections for role "shut_out"'),
        ("NOLOGIN", 'role "shut_out" is not permitted to log in'),
    ],
)
def test_what_a_server_answers_that_lets_nobody_in_is_said_first_and_not_that_it_is_silent(
    store_db, airflow_conn, settings, change, answer
):
    """A subject is cut short, and the address of a server is long."""
    store_db.run(f"CREATE ROLE shut_out LOGIN; ALTER ROLE shut_out {change}")
    airflow_conn(make_conninfo(store_db.conninfo, user="shut_out"))
    try:
        with pytest.raises(ConnectionRefused) as caught, open_session(settings, "x"):
            pass
    finally:
        store_db.run("DROP ROLE shut_out")
    first, second = caught.value.problem.splitlines()[:2]
    assert first == f"The database refused the connection: {answer}"
    assert second.startswith("Cannot connect to ")
    assert "as shut_out: " in second
    assert cause_of(caught.value) == answer
    assert passes_on_its_own(caught.value)


def test_an_option_that_the_driver_does_not_know_is_bad_input(store_db, airflow_conn, settings):
    airflow_conn(store_db.conninfo, colour="red")
    with pytest.raises(BadInput, match="colour"), open_session(settings, "x"):
        pass


class TestSeveralHosts:
    """A server and its standbys: any of them may be the one that takes writes."""

    def test_the_one_that_is_there_is_used(self, store_db, airflow_conn, settings, tmp_path):
        here = store_db.connection.info.host
        for hosts in (f"{tmp_path},{here}", f"{here},{tmp_path}"):
            airflow_conn(
                make_conninfo(store_db.conninfo, host=hosts), target_session_attrs="read-write"
            )
            with open_session(settings, "x") as connection:
                assert connection.info.host == here

    @pytest.mark.parametrize(
        "extra", [{"hostaddr": "127.0.0.1"}, {"port": "1,2,3"}], ids=["addresses", "ports"]
    )
    def test_other_numbers_of_what_belongs_to_them_are_bad_input(
        self, extra, airflow_conn, settings
    ):
        airflow_conn("host=one,two user=x dbname=x", **extra)
        with pytest.raises(BadInput, match=r"cannot be used: (could not|cannot) match"):
            connect(settings, "x")


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"cursor": "serversidecursor"}, "Invalid cursor passed serversidecursor. Valid options"),
        ({"iam": True}, "apache-airflow-providers-amazon not installed"),
        ({"iam": True, "azure_conn_id": "no_such"}, "The conn_id `no_such` isn't defined"),
    ],
    ids=["cursor", "no provider of tokens", "no connection for tokens"],
)
def test_what_airflows_hook_cannot_do_is_bad_input_in_one_line(
    extra, words, store_db, airflow_conn, settings
):
    airflow_conn(store_db.conninfo, **extra)
    with pytest.raises(BadInput) as caught:
        connect(settings, "x")
    assert words in caught.value.problem
    assert "\n" not in caught.value.problem
