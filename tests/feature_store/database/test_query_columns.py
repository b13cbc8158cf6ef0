"""A server that does not answer, or cannot just now, is never told as a fault of a file."""

from __future__ import annotations

import threading

import psycopg
import pytest

from feature_store.database.query_columns import expected_columns, query_columns
from feature_store.errors import passes_on_its_own
from feature_store.proof.fit import specification_problems
from tests.feature_store.waiting import wait_for_lock

_LISTINGS = '"iPhone".iphone_listings'


def _specifications(connection, store):
    specification_problems(connection, store)


def _files(connection, store):
    expected_columns(connection, store, store.find("ml.tom_features_v1_mv"))


@pytest.mark.parametrize("ends", [True, False], ids=["the session ends", "the lock is kept"])
@pytest.mark.parametrize("look", [_specifications, _files])
def test_what_passes_on_its_own_is_no_fault_of_a_file(store_db, include, look, ends):
    """While a source is loaded anew, a look at its query waits, and may wait in vain."""
    with store_db.session() as connection, psycopg.connect(store_db.conninfo) as other:
        other.execute(f"LOCK TABLE {_LISTINGS} IN ACCESS EXCLUSIVE MODE".encode())
        connection.execute("SET lock_timeout = '20s'" if ends else "SET lock_timeout = '100ms'")

        def end() -> None:
            wait_for_lock(store_db.connection)
            store_db.connection.execute(
                "SELECT pg_catalog.pg_terminate_backend(%s)", (connection.info.backend_pid,)
            )

        thread = threading.Thread(target=end)
        if ends:
            thread.start()
        with pytest.raises(psycopg.Error) as caught:
            look(connection, include.store)
        if ends:
            thread.join()
    assert passes_on_its_own(caught.value), caught.value


def test_a_query_has_the_columns_that_the_server_reads(store_db):
    query = f"SELECT listing_id, 1.5::real AS half FROM {_LISTINGS}"
    given = query_columns(store_db.connection, query)
    assert given == {"listing_id": "bigint", "half": "real"}
    with pytest.raises(psycopg.errors.UndefinedColumn) as caught:
        query_columns(store_db.connection, f"SELECT nothing FROM {_LISTINGS}")
    assert not passes_on_its_own(caught.value)
