"""A refresh locks what it reads before its snapshot: it waits for a reload and sees it whole."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from feature_store.audit.lease import RunKey, take_lease
from feature_store.connection import Connection
from feature_store.database.read_locks import Reads, asked_beside, lock_reads, reads_of
from feature_store.database.session import pin
from feature_store.declarations.store_definition import Store
from feature_store.errors import NotReady, passes_on_its_own
from feature_store.refresh.refresh import refresh
from feature_store.refresh.unchanged import reusable
from feature_store.schema.apply import apply
from feature_store.schema.readiness import check_ready
from feature_store.settings import Settings
from sandbox.roles import OWNER, REFRESHER, as_role, grant_roles
from sandbox.server import Server, available_versions
from tests.conftest import Servers, create_store
from tests.relations import COUNTS, E_AI, E_CLEAN, A

LISTINGS = '"iPhone".iphone_listings'
AI = '"iPhone".iphone_ai_enrich'
IMAGES = "feature_store.device_image_features_unified_v1"
ROWS = 100
Session = Connection

# Each makes {name} from what is called {old} by now; the rows stay in {base}.
SHAPES = {
    "table": (),
    "view_on_table": ("CREATE VIEW {name} AS SELECT * FROM {old}",),
    "partitioned_table": (
        "CREATE TABLE {name} (LIKE {old}) PARTITION BY RANGE (listing_id)",
        "CREATE TABLE {old}_low PARTITION OF {name} FOR VALUES FROM (0) TO (1)",
        "ALTER TABLE {name} ATTACH PARTITION {old} FOR VALUES FROM (1) TO (1000)",
    ),
    "view_on_partitioned_table": (
        "CREATE TABLE {old}_all (LIKE {old}) PARTITION BY RANGE (listing_id)",
        "ALTER TABLE {old}_all ATTACH PARTITION {old} FOR VALUES FROM (1) TO (1000)",
        "CREATE VIEW {name} AS SELECT * FROM {old}_all",
    ),
    "inheritance": (
        "CREATE TABLE {name} (LIKE {old})",
        "ALTER TABLE {old} INHERIT {name}",
    ),
}
_numbers = itertools.count(1)


class Shaped:
    """A store whose three sources have one shape. Its sessions are the refresher's."""

    def __init__(self, conninfo: str, shape: str, files: Store, settings: Settings) -> None:
        self.conninfo = conninfo
        self.files = files
        self.settings = settings
        self.shape = shape
        self.user = self.open()
        self._make_sources()
        create_store(conninfo, files, settings)
        self.session = self.open(REFRESHER)
        self.lease = take_lease(
            self.session, RunKey("feature_store_refresh", "a run"), lambda _: True, timedelta(0)
        )

    def open(self, role: str | None = None) -> Session:
        conninfo = as_role(self.conninfo, role) if role else self.conninfo
        connection = psycopg.connect(conninfo, autocommit=True)
        pin(connection, self.settings, "tests")
        return connection

    def base(self, source: str) -> str:
        """The table that holds a source's rows."""
        return source if self.shape == "table" else f"{source}_base"

    def refresh(self, name: str) -> None:
        refresh(self.session, self.files.find(name), self.lease, "UTC")

    def rows(self, query: str) -> Any:
        return self.user.execute(f"SELECT count(*) FROM {query}".encode()).fetchone()[0]

    def _make_sources(self) -> None:
        self.user.execute(
            f"""
            INSERT INTO {LISTINGS} (listing_id, generation, storage_gb, price, edited_date)
            SELECT i, 15, 128, 5000, '2026-01-01 12:00+00' FROM generate_series(1, {ROWS}) AS i;
            INSERT INTO {AI} (listing_id, can_ship)
            SELECT i, TRUE FROM generate_series(1, {ROWS}) AS i;
            INSERT INTO {IMAGES} (generation, listing_id, body_color_key_main)
            SELECT 15, i, 'blue' FROM generate_series(1, {ROWS}) AS i;
            """.encode()
        )
        for source in (LISTINGS, AI, IMAGES):
            base = self.base(source)
            if self.shape != "table":
                self.user.execute(f"ALTER TABLE {source} RENAME TO {base.split('.')[1]}".encode())
                for statement in SHAPES[self.shape]:
                    self.user.execute(statement.format(name=source, old=base).encode())
            self.user.execute(f"CREATE TABLE {source}_kept AS TABLE {base}".encode())

    def reload(self, source: str, by: Session) -> None:
        """Load everything anew in one transaction, as users do."""
        by.execute(f"TRUNCATE {self.base(source)}".encode())
        by.execute(f"INSERT INTO {self.base(source)} TABLE {source}_kept".encode())


@pytest.fixture(params=available_versions(), ids=lambda version: f"pg{version}")
def any_server(request: pytest.FixtureRequest, servers: Servers) -> Server:
    return servers[request.param]


@pytest.fixture
def make(store_files: Store, settings: Settings) -> Iterator[Callable[..., Shaped]]:
    made: list[tuple[Server, str, Shaped]] = []

    def create(server: Server, shape: str) -> Shaped:
        name = f"shaped_{next(_numbers)}"
        conninfo = server.create_database(name, "sources_only")
        made.append((server, name, Shaped(conninfo, shape, store_files, settings)))
        return made[-1][2]

    yield create
    for server, name, shaped in made:
        shaped.user.close()
        shaped.session.close()
        server.drop_database(name)


@pytest.fixture
def shaped(server: Server, make: Callable[..., Shaped], store_files: Store) -> Shaped:
    """A filled store over views. The refresher may read the views, and no table below them."""
    return _filled(make(server, "view_on_table"))


@pytest.fixture
def reloader(shaped: Shaped) -> Iterator[Session]:
    with shaped.open() as session:
        yield session


def _filled(shaped: Shaped) -> Shaped:
    for relation in shaped.files.refreshed:
        shaped.refresh(str(relation.name))
    return shaped


class Waiting:
    """A reload in one transaction, and work that begins before its end and has to wait for it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self._failure: list[BaseException] = []

    def run(
        self,
        by: Session,
        reload: Callable[[], object],
        work: Callable[[], object],
        *,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        """Run both; raises what the work raises.

        Args:
            by: the session of the reload.
            reload: what it does before the work begins.
            work: what begins when the reload has its locks.
            then: what the reload does once the work waits, before it commits.
        """
        worker = threading.Thread(target=self._attempt, args=(work,))
        self._caplog.set_level("INFO", "feature_store")
        self._caplog.clear()
        try:
            with by.transaction():
                reload()
                worker.start()
                self._until_it_waits(worker)
                then()
        finally:
            worker.join()
        if self._failure:
            raise self._failure.pop()

    def _attempt(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            self._failure.append(error)

    def _until_it_waits(self, worker: threading.Thread) -> None:
        for _ in range(500):
            if "is being reloaded" in self._caplog.text or not worker.is_alive():
                break
            time.sleep(0.02)
        assert worker.is_alive(), f"it did not wait: {self._failure}"


@pytest.fixture
def waiting(caplog: pytest.LogCaptureFixture) -> Waiting:
    return Waiting(caplog)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_reload_that_commits_while_a_refresh_waits_is_seen_whole(
    any_server: Server, make: Callable[..., Shaped], shape: str, waiting: Waiting
) -> None:
    shaped = _filled(make(any_server, shape))

    with shaped.open() as reloader:
        for source, relation in ((LISTINGS, A), (LISTINGS, E_CLEAN), (AI, E_AI), (IMAGES, COUNTS)):
            waiting.run(
                reloader,
                partial(shaped.reload, source, reloader),
                partial(shaped.refresh, relation),
            )

    assert shaped.rows(A) == ROWS
    assert shaped.rows(E_CLEAN) == ROWS
    assert shaped.rows(f"{E_AI} WHERE ai_can_ship_bin = 1") == ROWS
    assert shaped.rows(f"{COUNTS} WHERE color_bucket = 'blue' AND n = {ROWS}") == 1


def test_a_reload_that_takes_longer_leaves_readers_their_rows_and_is_tried_again(
    shaped: Shaped, reloader: Session
) -> None:
    shaped.session.execute("SET lock_timeout = '300ms'")
    with reloader.transaction():
        shaped.reload(LISTINGS, reloader)
        with pytest.raises(psycopg.errors.LockNotAvailable) as caught:
            shaped.refresh(A)
        assert passes_on_its_own(caught.value)
        assert shaped.rows(A) == ROWS
    assert shaped.rows(f"feature_store_audit.refresh WHERE relation = '{A}'") == 1

    shaped.refresh(A)
    assert shaped.rows(A) == ROWS


def test_who_writes_rows_of_a_source_waits_for_no_refresh_and_no_refresh_for_him(
    shaped: Shaped, reloader: Session
) -> None:
    base = shaped.base(LISTINGS)
    reloader.execute("SET lock_timeout = '200ms'")
    with shaped.session.transaction():
        lock_reads(shaped.session, reads_of(shaped.session, shaped.files.find(A)))
        reloader.execute(f"UPDATE {base} SET price = 1 WHERE listing_id = 1".encode())
        reloader.execute(f"DELETE FROM {base} WHERE listing_id = 2".encode())
    with reloader.transaction():
        reloader.execute(f"INSERT INTO {base} TABLE {LISTINGS}_kept".encode())
        reloader.execute(f"UPDATE {base} SET price = 2".encode())
        shaped.session.execute("SET lock_timeout = '200ms'")
        shaped.refresh(A)

    assert shaped.rows(A) == ROWS - 1


def test_a_reload_of_several_sources_is_never_ended_as_a_deadlock(
    shaped: Shaped, reloader: Session, waiting: Waiting
) -> None:
    names = ("iphone_ai_enrich", "iphone_listings")
    both = Reads("both", tuple((n, "iPhone", name) for n, name in enumerate(names)), 10)

    def lock_both() -> None:
        with shaped.session.transaction():
            lock_reads(shaped.session, both)

    reloader.execute("SET lock_timeout = '200ms'")  # a deadlock would end it after a second
    waiting.run(
        reloader,
        partial(shaped.reload, LISTINGS, reloader),
        lock_both,
        then=partial(shaped.reload, AI, reloader),
    )


def test_rows_that_move_to_another_table_below_a_view_are_seen(
    shaped: Shaped, reloader: Session, waiting: Waiting
) -> None:
    def move() -> None:
        reloader.execute(f"CREATE TABLE {LISTINGS}_new AS TABLE {LISTINGS}_kept".encode())
        reloader.execute(f"CREATE OR REPLACE VIEW {LISTINGS} AS TABLE {LISTINGS}_new".encode())

    waiting.run(reloader, move, partial(shaped.refresh, A))

    assert shaped.rows(A) == ROWS


@pytest.fixture
def partitioned(server: Server, make: Callable[..., Shaped]) -> Shaped:
    return _filled(make(server, "partitioned_table"))


def _exchange(shaped: Shaped, by: Session) -> None:
    """Replace the partition that holds the rows by a new one with the same rows."""
    base = shaped.base(LISTINGS)
    by.execute(f"CREATE TABLE {LISTINGS}_new AS TABLE {LISTINGS}_kept".encode())
    by.execute(f"ALTER TABLE {LISTINGS}_new ALTER listing_id SET NOT NULL".encode())
    by.execute(f"ALTER TABLE {LISTINGS} DETACH PARTITION {base}".encode())
    bounds = "FOR VALUES FROM (1) TO (1000)"
    by.execute(f"ALTER TABLE {LISTINGS} ATTACH PARTITION {LISTINGS}_new {bounds}".encode())


def test_rows_of_an_exchanged_partition_are_seen(partitioned: Shaped, waiting: Waiting) -> None:
    with partitioned.open() as by:
        waiting.run(by, partial(_exchange, partitioned, by), partial(partitioned.refresh, A))

    assert partitioned.rows(A) == ROWS


def test_what_is_exchanged_while_a_run_looks_is_not_taken_for_unchanged(
    partitioned: Shaped, waiting: Waiting
) -> None:
    relation = partitioned.files.find(A)
    partitioned.user.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA "iPhone" TO {REFRESHER}')
    partitioned.refresh(A)
    found: list[Any] = []

    def look() -> None:
        found.append(reusable(partitioned.session, partitioned.files, relation, "UTC"))

    look()
    with partitioned.open() as by:
        waiting.run(by, partial(_exchange, partitioned, by), look)

    assert found[0] is not None
    assert found[1] is None


def test_a_source_that_is_renamed_while_it_is_waited_for_is_tried_again(
    shaped: Shaped, reloader: Session, waiting: Waiting
) -> None:
    """Another view then has its name, and the materialized view still reads the old one."""

    def rename() -> None:
        reloader.execute(f"ALTER VIEW {LISTINGS} RENAME TO listings_before".encode())
        reloader.execute(f"CREATE VIEW {LISTINGS} AS TABLE {shaped.base(LISTINGS)}".encode())
        reloader.execute(f"GRANT SELECT ON {LISTINGS} TO {REFRESHER}".encode())

    with pytest.raises(psycopg.errors.SerializationFailure, match="was replaced or renamed"):
        waiting.run(reloader, rename, partial(shaped.refresh, A))

    shaped.refresh(A)
    assert shaped.rows(A) == ROWS


def test_what_apply_fills_sees_a_reload_whole(
    shaped: Shaped, reloader: Session, waiting: Waiting
) -> None:
    shaped.user.execute("UPDATE feature_store_audit.lease SET dag_id = NULL, run_id = NULL")

    def replace() -> None:
        with shaped.open(OWNER) as owner:
            apply(owner, shaped.files, shaped.settings, replace=[A])

    waiting.run(reloader, partial(shaped.reload, LISTINGS, reloader), replace)

    assert shaped.rows(A) == ROWS


def test_what_a_witness_reads_besides_is_locked_too(shaped: Shaped) -> None:
    relation = shaped.files.find(COUNTS)
    named = {name for _oid, _schema, name in reads_of(shaped.session, relation).named}
    assert {"v_device_meta_base_t0_v1", "device_image_features_unified_v1"} <= named


def test_what_marks_spam_is_read_by_what_leaves_it_out_whatever_its_files_name(
    shaped: Shaped,
) -> None:
    alone = replace(shaped.files.find(E_CLEAN), specification=None, witness=None)
    assert {str(name) for name in asked_beside(alone)} == {"iPhone.iphone_listings"}


def test_a_role_that_may_read_a_source_by_columns_only_is_refused_before_any_work(
    shaped: Shaped, store_files: Store
) -> None:
    columns = ", ".join(
        next(s.columns for s in store_files.sources if s.name.relation == "iphone_listings")
    )
    shaped.user.execute(
        f"REVOKE SELECT ON {LISTINGS} FROM {REFRESHER};"
        f"GRANT SELECT ({columns}) ON {LISTINGS} TO {REFRESHER}".encode()
    )

    with pytest.raises(NotReady) as caught:
        check_ready(shaped.session, store_files, shaped.settings)
    told = caught.value.problem
    assert (
        f"{REFRESHER} may not lock what {A} reads, so it cannot wait until a reload is done: "
        in told
    )
    assert f"Next: GRANT SELECT on the whole relation, not on columns, to {REFRESHER}" in told

    grant_roles(shaped.conninfo)
    check_ready(shaped.session, store_files, shaped.settings)
