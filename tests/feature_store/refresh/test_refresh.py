"""One refresh: its transaction, its record, what it does to readers, and what stops it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from feature_store.audit.lease import Lease, RunKey, take_lease
from feature_store.connection import Connection, one_value
from feature_store.database.planner_statistics import gather_statistics
from feature_store.database.session import pin
from feature_store.declarations.store_definition import Store
from feature_store.errors import DuplicateKey, LeaseTaken, StoreError, passes_on_its_own
from feature_store.refresh.refresh import refresh
from feature_store.relation_name import Name
from feature_store.settings import Settings
from tests.feature_store.waiting import wait_for_lock
from tests.relations import D2, E_CLEAN, F0, A, E

Session = Connection
RUN = RunKey("feature_store_refresh", "a run")


@pytest.fixture
def open_session(store_database: str, settings: Settings) -> Iterator[Callable[[], Session]]:
    opened: list[Session] = []

    def open_one() -> Session:
        connection = psycopg.connect(store_database, autocommit=True)
        pin(connection, settings, "tests")
        connection.execute("SET lock_timeout = '300ms'")
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def session(open_session: Callable[[], Session]) -> Session:
    """A session on a store with one listing per day, refreshed once."""
    return open_session()


@pytest.fixture
def other(open_session: Callable[[], Session]) -> Session:
    return open_session()


@pytest.fixture
def lease(session: Session) -> Lease:
    return take_lease(session, RUN, lambda _: True, timedelta(0))


@pytest.fixture
def refresh_one(session: Session, lease: Lease, store_files: Store) -> Callable[..., Any]:
    def run(name: str, using: Session = session) -> Any:
        return refresh(using, store_files.find(name), lease, "UTC")

    return run


@pytest.fixture
def filled(session: Session, store_files: Store, refresh_one: Callable[..., Any]) -> None:
    add_listing(session, 1)
    for relation in store_files.refreshed:
        refresh_one(str(relation.name))


def add_listing(session: Session, listing_id: int, spam: str | None = None) -> None:
    session.execute(
        'INSERT INTO "iPhone".iphone_listings (listing_id, generation, storage_gb, price, '
        "edited_date, spam) VALUES (%s, 15, 128, 5000, '2026-01-01 12:00+00', %s)",
        (listing_id, spam),
    )


def records(session: Session, relation: str) -> list[tuple[Any, ...]]:
    return session.execute(
        "SELECT mode, row_count, token, run_id FROM feature_store_audit.refresh "
        "WHERE relation = %s ORDER BY refresh_id",
        (relation,),
    ).fetchall()


def test_rows_are_counted_where_their_state_cannot_be_told(
    session: Session, refresh_one: Callable[..., Any]
) -> None:
    add_listing(session, 1)
    add_listing(session, 2)
    session.execute("CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler")
    session.execute(f"ALTER MATERIALIZED VIEW {A} SET ACCESS METHOD other")

    assert refresh_one(A).rows == 2
    row = session.execute("SELECT row_count, outcome FROM feature_store_audit.refresh").fetchone()
    assert row == (2, None)


def test_a_layer_that_was_never_filled_below_is_named_whatever_language_the_server_speaks(
    refresh_one: Callable[..., Any],
) -> None:
    with pytest.raises(StoreError) as caught:
        refresh_one(E)
    words = f"Refresh what {E} reads first: clear its task, then this one."
    assert caught.value.next_step == words


def test_a_refresh_leaves_one_record_with_what_it_did(
    session: Session, lease: Lease, refresh_one: Callable[..., Any]
) -> None:
    add_listing(session, 1)
    add_listing(session, 2)

    done = refresh_one(A)

    assert (done.mode, done.rows) == ("blocking", 2)
    assert records(session, A) == [("blocking", 2, lease.token, "a run")]
    row = session.execute(
        "SELECT bytes = pg_total_relation_size('ml.tom_features_v1_mv'), seconds > 0, "
        "started_at < finished_at, zone, pg_snapshot_xmax(snapshot) > '0' "
        "FROM feature_store_audit.refresh"
    ).fetchone()
    assert row == (True, True, True, "UTC", True)


def test_its_statistics_are_gathered_afterwards(
    session: Session, refresh_one: Callable[..., Any]
) -> None:
    add_listing(session, 1)
    refresh_one(A)

    found = session.execute(
        "SELECT reltuples FROM pg_class WHERE oid = 'ml.tom_features_v1_mv'::regclass"
    ).fetchone()
    assert found == (1,)


@pytest.fixture
def hundred(session: Session, store_files: Store, refresh_one: Callable[..., Any]) -> None:
    """A filled store over a hundred listings."""
    for listing_id in range(100):
        add_listing(session, listing_id)
    for relation in store_files.refreshed:
        refresh_one(str(relation.name))


def analyzed(session: Session, relation: str) -> int:
    session.execute("SELECT pg_stat_force_next_flush()")
    return one_value(
        session,
        "SELECT analyze_count FROM pg_stat_all_tables WHERE relid = %s::regclass",
        (relation,),
    )


@pytest.mark.parametrize(("changed", "again"), [(4, 0), (6, 1)])
def test_a_concurrent_refresh_gathers_statistics_once_a_twentieth_of_the_rows_changed(
    session: Session, hundred: None, refresh_one: Callable[..., Any], changed: int, again: int
) -> None:
    before = analyzed(session, F0)

    # A changed row is one that goes and one that comes: 2 and 3 listings are 4 and 6 rows of 100.
    session.execute(
        'UPDATE "iPhone".iphone_listings SET model = %s WHERE listing_id < %s',
        ("another", changed // 2),
    )
    for name in (A, E, E_CLEAN, F0):
        refresh_one(name)

    assert analyzed(session, F0) - before == again


def test_small_changes_add_up_until_statistics_are_gathered(
    session: Session, hundred: None, refresh_one: Callable[..., Any]
) -> None:
    before = analyzed(session, F0)

    counts = []
    for night in range(4):
        session.execute(
            'UPDATE "iPhone".iphone_listings SET model = %s WHERE listing_id < 2', (f"m{night}",)
        )
        for name in (A, E, E_CLEAN, F0):
            refresh_one(name)
        counts.append(analyzed(session, F0) - before)

    assert counts == [0, 1, 1, 2]


def test_statistics_of_which_nothing_is_known_are_gathered(
    session: Session, filled: None, refresh_one: Callable[..., Any]
) -> None:
    # As after a crash, or an upgrade of the server.
    session.execute("SELECT pg_stat_reset_single_table_counters(%s::regclass)", (F0,))

    refresh_one(F0)

    assert analyzed(session, F0) == 1


def test_a_lock_that_keeps_statistics_from_being_gathered_fails_no_refresh(
    session: Session, other: Session, filled: None, caplog: pytest.LogCaptureFixture
) -> None:
    """It was taken between the refresh, whose rows are there already, and its statistics."""
    with other.transaction():
        other.execute(f"COMMENT ON MATERIALIZED VIEW {A} IS 'words'")
        gather_statistics(session, Name.parse(A), written_anew=True)
    assert f"{A}: its statistics are not gathered: canceling statement" in caplog.text


def test_a_read_layer_is_filled_plainly_once_and_concurrently_ever_after(
    session: Session, filled: None, refresh_one: Callable[..., Any]
) -> None:
    refresh_one(E)

    assert [mode for mode, *_ in records(session, E)] == ["blocking", "concurrent"]


def test_readers_of_a_read_layer_are_not_kept_waiting(
    session: Session, other: Session, filled: None, refresh_one: Callable[..., Any]
) -> None:
    with session.transaction():  # the refresh is a savepoint inside: its locks stay until here
        session.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {E}")
        assert other.execute(f"SELECT count(*) FROM {E}").fetchone() == (1,)


def test_a_blocking_refresh_waits_at_most_lock_timeout_for_a_reader(
    session: Session, other: Session, filled: None, refresh_one: Callable[..., Any]
) -> None:
    with other.transaction():
        other.execute(f"SELECT count(*) FROM {A}")
        with pytest.raises(psycopg.errors.LockNotAvailable) as caught:
            refresh_one(A)
    assert passes_on_its_own(caught.value)
    assert len(records(session, A)) == 1
    refresh_one(A)
    assert len(records(session, A)) == 2


def test_what_is_recorded_is_of_the_same_moment_as_what_was_refreshed(
    session: Session, other: Session, filled: None, refresh_one: Callable[..., Any]
) -> None:
    """A flag that comes while E-clean's refresh waits is neither in its rows nor in its witness."""
    blocker = other
    with blocker.transaction():
        # E-clean's refresh starts, takes its snapshot, and waits here in the middle of its work.
        blocker.execute(f"REFRESH MATERIALIZED VIEW {E}")
        session.execute("SET lock_timeout = '20s'")
        failure: list[BaseException] = []

        def work() -> None:
            try:
                refresh_one(E_CLEAN)
            except BaseException as error:
                failure.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        wait_for_lock(blocker)
        blocker.execute("UPDATE \"iPhone\".iphone_listings SET spam = 'wtb'")
    worker.join()

    assert not failure
    assert session.execute(f"SELECT listing_id FROM {E_CLEAN}").fetchall() == [(1,)]
    assert session.execute("SELECT * FROM feature_store_audit.spam_seen").fetchall() == []
    refresh_one(E_CLEAN)
    assert session.execute(f"SELECT listing_id FROM {E_CLEAN}").fetchall() == []
    seen = session.execute("SELECT key FROM feature_store_audit.spam_seen").fetchall()
    assert seen == [(1,)]


def test_bad_data_is_named_with_what_readers_still_get(
    session: Session, filled: None, refresh_one: Callable[..., Any]
) -> None:
    target = "ml.tom_features_v1_enriched_ai_clean_mv"
    session.execute('ALTER TABLE "iPhone".iphone_ai_enrich DROP CONSTRAINT iphone_ai_enrich_pkey')
    session.execute(
        'INSERT INTO "iPhone".iphone_ai_enrich (listing_id, can_ship) VALUES (1, true), (1, false)'
    )

    with pytest.raises(DuplicateKey) as caught:
        refresh_one(target)

    assert not passes_on_its_own(caught.value)
    told = str(caught.value)
    assert told.startswith(f"{target} was not refreshed: ")
    assert "(listing_id)=(1)" in told
    assert "Readers: the rows of the refresh of 20" in told
    assert "Next: Find the rows with that key" in told
    assert session.execute(f"SELECT count(*) FROM {target}").fetchone() == (1,)
    assert len(records(session, target)) == 1


def test_a_refresh_by_hand_at_the_same_moment_is_not_taken_for_keys_that_are_broken(
    session: Session, other: Session, filled: None, refresh_one: Callable[..., Any]
) -> None:
    """Our snapshot does not see the rows that the other refresh brought; the unique index does."""
    session.execute("SET lock_timeout = '20s'")
    failure: list[psycopg.Error] = []

    def work() -> None:
        try:
            refresh_one(E)
        except psycopg.Error as error:
            failure.append(error)

    worker = threading.Thread(target=work)
    with other.transaction():
        add_listing(other, 2)
        other.execute(f"REFRESH MATERIALIZED VIEW {A}")
        worker.start()
        wait_for_lock(other)  # E's refresh has its snapshot, and is about to read A
        other.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {E}")
    worker.join()

    assert passes_on_its_own(failure[0])
    assert "somebody else refreshed" in str(failure[0])
    refresh_one(E)
    assert session.execute(f"SELECT count(*) FROM {E}").fetchone() == (2,)


def test_a_lease_that_changed_hands_stops_a_refresh_before_it_starts(
    session: Session, other: Session, filled: None, refresh_one: Callable[..., Any]
) -> None:
    take_lease(other, RunKey("feature_store_refresh", "another"), lambda _: True, timedelta(0))

    with pytest.raises(LeaseTaken):
        refresh_one(A)
    assert len(records(session, A)) == 1


def test_siblings_that_confirm_the_lease_all_the_time_do_not_stop_a_refresh(
    session: Session, other: Session, filled: None, refresh_one: Callable[..., Any]
) -> None:
    stop = threading.Event()

    def confirm() -> None:
        while not stop.is_set():
            take_lease(other, RUN, lambda _: True, timedelta(0))

    sibling = threading.Thread(target=confirm)
    sibling.start()
    try:
        for _ in range(20):
            refresh_one(D2)
    finally:
        stop.set()
        sibling.join()
    assert len(records(session, D2)) == 21


def test_a_killed_refresh_leaves_rows_and_record_as_they_were_and_the_next_one_works(
    session: Session,
    other: Session,
    open_session: Callable[[], Session],
    filled: None,
    refresh_one: Callable[..., Any],
) -> None:
    add_listing(session, 2)
    refresh_one(A)
    victim = open_session()
    victim.execute("SET lock_timeout = '20s'")
    with other.transaction():
        other.execute(f"REFRESH MATERIALIZED VIEW {D2}")  # E reads D2, so it waits in the middle
        failure: list[BaseException] = []

        def work() -> None:
            try:
                refresh_one(E, using=victim)
            except psycopg.OperationalError as error:
                failure.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        wait_for_lock(other)
        session.execute("SELECT pg_terminate_backend(%s)", (victim.info.backend_pid,))
        worker.join()

    assert passes_on_its_own(failure[0])
    assert session.execute(f"SELECT count(*) FROM {E}").fetchone() == (1,)
    assert len(records(session, E)) == 1
    refresh_one(E)
    assert session.execute(f"SELECT count(*) FROM {E}").fetchone() == (2,)
