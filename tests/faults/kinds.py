"""The kinds of faults: what is done to one try of a task, and what comes of it.

Each kind is a context manager around the try. It is given the scene, prepares what shall happen,
and undoes its own part afterwards: a lock, a full disk, a pulled cable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg

from sandbox.mailbox import Mailbox
from tests.faults.scene import Scene
from tests.faults.wire import Breach, Cut
from tests.mail_servers import SlowMailbox

Kind = Callable[[Scene], AbstractContextManager[None]]


def _on_the_wire(
    act: Callable[[Scene, Cut], None], *, commits: bool = False, answered: bool = False
) -> Kind:
    """Let something happen to a try at one of its statements or commits."""

    @contextmanager
    def during(scene: Scene) -> Iterator[None]:
        nth = scene.commit if commits else scene.statement
        breach = Breach(lambda cut: act(scene, cut), nth, commits, answered)
        scene.lab.wire.arm(breach)
        try:
            yield
        finally:
            scene.lab.wire.arm(None)
            scene.took_effect = breach.wait()

    return during


def _kill(scene: Scene, cut: Cut) -> None:
    scene.to_process("kill")
    cut.close()


def _ask_to_end(scene: Scene, _: Cut) -> None:
    scene.to_process("terminate")


def _reset(_: Scene, cut: Cut) -> None:
    cut.reset()


def _crash(scene: Scene, _: Cut) -> None:
    scene.lab.crash()


def _end_session(scene: Scene, _: Cut) -> None:
    """End all sessions of the task, as an administrator does."""
    with scene.lab.session() as here:
        here.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s",
            (f"feature_store {scene.point.task}%",),
        )


def _pause(scene: Scene, _: Cut) -> None:
    scene.to_process("suspend")
    threading.Timer(scene.point.seconds, lambda: scene.to_process("resume")).start()


def _sleep_on(scene: Scene, _: Cut) -> None:
    """The try sleeps, so that the scheduler gives it up. It wakes up when another try is over."""
    scene.to_process("suspend")
    scene.left = True


@contextmanager
def _cable_pulled(scene: Scene) -> Iterator[None]:
    """From some moment of the try to its end no packet arrives."""
    network = scene.lab.network
    assert network is not None  # without a cable this kind is not drawn
    scene.environment = scene.lab.environment(scene.lab.by_cable)
    scene.network = network.client.path

    def pull() -> None:
        with scene.lab.session() as here:
            query = "SELECT FROM pg_stat_activity WHERE application_name LIKE 'feature_store %'"
            scene.took_effect = here.execute(query).rowcount > 0
        network.pull()

    timer = threading.Timer(0.3 + 2 * scene.point.at, pull)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        network.plug()


_LOCKS = (
    'LOCK TABLE "iPhone".iphone_listings IN ACCESS EXCLUSIVE MODE',
    'LOCK TABLE "iPhone".iphone_ai_enrich IN ACCESS EXCLUSIVE MODE',
    "LOCK TABLE feature_store.device_image_features_unified_v1 IN ACCESS EXCLUSIVE MODE",
    "SELECT FROM feature_store_audit.lease FOR UPDATE",
    "LOCK TABLE feature_store_audit.run_log, feature_store_audit.verdict_log IN SHARE MODE",
    "LOCK TABLE feature_store_audit.refresh IN SHARE MODE",
)


@contextmanager
def _lock(scene: Scene) -> Iterator[None]:
    """Somebody else holds a lock for a while."""
    layer = scene.point.task.partition(".")
    locks = list(_LOCKS)
    if layer[0] in ("base", "read"):
        locks.append(f"REFRESH MATERIALIZED VIEW {_schema(scene, layer[2])}.{layer[2]}")
    done = threading.Event()
    with psycopg.connect(scene.lab.conninfo) as other:
        other.execute(locks[scene.point.pick % len(locks)].encode())

        def watch() -> None:
            waits = (
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                "AND application_name LIKE 'feature_store %'"
            )
            with scene.lab.session() as here:
                for _ in range(int(scene.point.seconds * 10)):
                    scene.took_effect |= here.execute(waits.encode()).rowcount > 0
                    if done.wait(0.1):
                        break
            other.rollback()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _schema(scene: Scene, relation: str) -> str:
    with scene.lab.session() as here:
        query = "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = %s"
        (schema,) = here.execute(query, (relation,)).fetchone() or ("",)
    return str(schema)


_WRITES = {
    "prepare": "run_log",
    "expectations": "expectation_log",
    "assert_contract": "certification_log",
}


@contextmanager
def _disk_full(scene: Scene) -> Iterator[None]:
    """The server has no room for what the try records, once or twice."""
    table = _WRITES.get(scene.point.task.partition(".")[0], "refresh")
    times = 1 + scene.point.pick % 2
    with scene.lab.session() as here:
        here.execute(
            f"""
            CREATE SEQUENCE public.refused;
            GRANT USAGE ON SEQUENCE public.refused TO PUBLIC;
            CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF pg_catalog.nextval('public.refused') <= {times} THEN
                    RAISE EXCEPTION 'could not extend file: No space left on device'
                        USING ERRCODE = '53100';
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON feature_store_audit.{table}
                FOR EACH ROW EXECUTE FUNCTION public.refuse();
            """.encode()
        )
        try:
            yield
        finally:
            row = here.execute("SELECT is_called FROM public.refused").fetchone()
            scene.took_effect = row == (True,)
            here.execute(
                f"DROP TRIGGER refuse ON feature_store_audit.{table}; "
                "DROP FUNCTION public.refuse(); DROP SEQUENCE public.refused".encode()
            )


def _marked(state: str) -> Kind:
    @contextmanager
    def during(scene: Scene) -> Iterator[None]:
        scene.instead, scene.took_effect = state, True
        yield

    return during


@contextmanager
def _left_lease(scene: Scene) -> Iterator[None]:
    """The lease is held for a run that nobody knows, at times from a clock that was wrong."""
    off = ("-1 hour", "1 hour", "0 hours")[scene.point.pick % 3]
    with scene.lab.session() as here:
        here.execute(
            "UPDATE feature_store_audit.lease SET dag_id = 'feature_store_refresh', "
            "run_id = 'deleted', taken_at = now() + %(off)s, seen_at = now() + %(off)s",
            {"off": off},
        )
    scene.took_effect = True
    yield


def _mail_server(make: Callable[[Path], Mailbox]) -> Kind:
    @contextmanager
    def during(scene: Scene) -> Iterator[None]:
        with make(scene.lab.mailbox.folder) as server:
            scene.environment["AIRFLOW_CONN_SMTP_DEFAULT"] = server.airflow_connection
            scene.took_effect = True
            yield

    return during


ANYWHERE: dict[str, Kind] = {
    "killed before a statement": _on_the_wire(_kill),
    "killed after a statement": _on_the_wire(_kill, answered=True),
    "killed after a commit": _on_the_wire(_kill, commits=True, answered=True),
    "reset before a statement": _on_the_wire(_reset),
    "reset before a commit": _on_the_wire(_reset, commits=True),
    "reset after a commit": _on_the_wire(_reset, commits=True, answered=True),
    "machine shut down": _on_the_wire(_ask_to_end),
    "session ended": _on_the_wire(_end_session),
    "server crashed": _on_the_wire(_crash),
    "server crashed after a commit": _on_the_wire(_crash, commits=True, answered=True),
    "paused": _on_the_wire(_pause),
    "paused, and given up": _on_the_wire(_sleep_on),
    "lock held": _lock,
    "disk full": _disk_full,
    "cable pulled": _cable_pulled,
}
"""After one of these the same night ends well, by itself."""

OF_PREPARE: dict[str, Kind] = {
    "prepare marked success": _marked("success"),
    "lease left by a lost run": _left_lease,
}
"""So it does after one of these, done to its first task."""

FATAL: dict[str, Kind] = {
    "marked success": _marked("success"),
    "marked failed": _marked("failed"),
}
"""A night with one of these, done to a layer or a suite, fails and says so."""

MAIL: dict[str, Kind] = {
    "mail server slow": _mail_server(lambda folder: SlowMailbox(folder, pause=1)),
    "mail server falls silent": _mail_server(lambda folder: SlowMailbox(folder, answers=3)),
    "mail server silent at the end": _mail_server(lambda folder: SlowMailbox(folder, answers=5)),
    "mail server refuses": _mail_server(lambda folder: Mailbox(folder, refuses=["you@localhost"])),
    "killed while it tells": _on_the_wire(_kill, commits=True, answered=True),
    "reset while it tells": _on_the_wire(_reset, commits=True, answered=True),
}
"""Done to the verdict of a night that fails: its one mail comes, or a second one that says so."""

KINDS: dict[str, Kind] = ANYWHERE | OF_PREPARE | FATAL | MAIL
