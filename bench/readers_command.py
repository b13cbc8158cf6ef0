"""`make bench-readers`: do readers wait, and how much does a refresh slow them down?"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from psycopg import Connection, sql

from bench.labels import label
from bench.lock_watch import INTERVAL, LockWatch
from bench.machine import describe_machine
from bench.measure import describe_conditions, say
from bench.options import Options
from bench.read_load import ReadLoad, percentiles
from bench.reference import read_reference
from bench.results import conditions, markdown_table, number, read_result, write_result
from bench.same_load import work_without_locks
from bench.scratch import Scratch, check_disk, need_bytes, scratch_store
from bench.server import open_server
from bench.tables import target_table
from bench.targets import judge_readers
from bench.variants import SHIPPED, run_variant
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.store_definition import Relation, Store, read_store
from feature_store.settings import Settings

NAME = "readers"
READERS = 3
IDLE_SECONDS = 15.0


def run_readers(options: Options) -> None:
    """Measure readers of the largest size asked for: idle, in refreshes, and under equal load.

    Raises:
        NotReady: the disk is too small, or the server lets us create no database.
    """
    settings = Settings()
    store = read_store(settings.include_dir)
    size = options.sizes[-1]
    if not options.dsn:
        check_disk(need_bytes(size.listings, reference=False))
    result: dict[str, Any] = {"machine": describe_machine(), "listings": size.listings}
    with open_server(options.dsn) as server:
        server.use(server.profiles[0])
        print(f"{size.listings:,} listings:", flush=True)
        with scratch_store(server, size.sample, store, settings) as scratch:
            result["conditions"] = describe_conditions(server, scratch)
            result |= measure_readers(scratch, refreshes=size.runs)
    write_result(options.out, NAME, result)
    render_readers(options.out)


def measure_readers(
    scratch: Scratch, refreshes: int, idle_seconds: float = IDLE_SECONDS
) -> dict[str, Any]:
    """Let readers read all the time, and record each phase.

    Refreshes alternate with the same work without locks, because a machine may be slower in one
    minute than in the next.
    """
    store = scratch.store
    took = 0.0
    with scratch.session() as connection:
        _refresh(scratch, connection)
        _cut_spare_pages(connection, store)
        say("filled")
        ours = connection.info.backend_pid
        idle, refresh, load = (_Phase(scratch, ours) for _ in range(3))
        # Do nothing, to measure reading alone.
        with idle:
            time.sleep(idle_seconds)
        say("read while nothing happened")
        for number in range(1, refreshes + 1):
            started = time.perf_counter()
            with refresh:
                _refresh(scratch, connection)
            took += time.perf_counter() - started
            with load:
                work_without_locks(connection, store)
            say(f"read during refresh {number} and during the same work without its locks")
    return {
        "refreshes": refreshes,
        "readers": READERS,
        "seconds": round(took, 2),
        "lock_timeout": scratch.settings.lock_timeout,
        "labels": {str(r.name): label(r) for r in store.refreshed},
        "phases": {"idle": idle.found, "refresh": refresh.found, "load": load.found},
    }


def render_readers(out: Path) -> None:
    """Make the tables of the result in a folder, and print them.

    Raises:
        BadInput: the folder holds no result.
    """
    result = read_result(out / f"{NAME}.json")
    tables = reader_tables(result)
    words = "# Readers during a refresh\n\nWritten by `make bench-readers`.\n\n"
    (out / f"{NAME}.md").write_text(words + tables, encoding="utf-8")
    print(f"\n{tables}\nWritten to {out}: {NAME}.json, {NAME}.md")


def reader_tables(result: dict[str, Any]) -> str:
    """The tables of a result."""
    phases = result["phases"]
    latency = [
        (f"{phase}, {layer} layers, by {kind}", str(found["reads"]),
         *(number(found[p], 2) for p in ("p50", "p95", "p99", "max")))
        for layer in ("read", "base")
        for kind in ("key", "range")
        for phase in phases
        if (found := phases[phase][layer]["latency"][kind])
    ]  # fmt: skip
    waits = [
        (f"{phase}, {layer} layers", str(phases[phase]["looks"]),
         *(str(phases[phase][layer][seen]) for seen in ("seen_waiting", "seen_for_ours")),
         _reported(phases[phase][layer]))
        for layer in ("read", "base")
        for phase in phases
    ]  # fmt: skip
    held = [
        (result["labels"][name], number(seconds, 3))
        for name, seconds in phases["refresh"]["held"].items()
    ]
    sections = [
        f"{result['listings']:,} listings, {result['readers']} readers of read layers and one of "
        f"base layers, {result['refreshes']} full refreshes in {result['seconds']:.0f} s.",
        "## Targets\n\n" + target_table(judge_readers(phases)),
        "## Latency in milliseconds\n\n"
        + markdown_table(("phase", "reads", "p50", "p95", "p99", "max"), latency),
        "## Waits for a lock\n\nReaders seen waiting by looking into the server every "
        f"{INTERVAL * 1000:.0f} ms, and the server's own reports of waits of 1 ms and more. Base "
        "layers are the control: there readers do wait. *For ours*: the session that refreshes "
        "stood in the way.\n\n"
        + markdown_table(("phase", "looks", "seen waiting", "for ours", "reported"), waits),
        *_waited_for(phases),
        "## ACCESS EXCLUSIVE held, the longest time\n\nA refresh waits at most "
        f"{result['lock_timeout']} s for this lock (lock_timeout), and holds it as long as "
        "follows.\n\n" + markdown_table(("relation", "seconds"), held),
        "## Measured on\n\n" + conditions(result),
    ]
    return "\n\n".join(sections) + "\n"


def _reported(layer: dict[str, Any]) -> str:
    return str(layer["reported_waits"]) if layer["could_report"] else "not allowed to ask"


def _waited_for(phases: dict[str, Any]) -> Iterator[str]:
    """Under the table: every lock that was waited for, if any was."""
    for phase, its in phases.items():
        for layer in ("read", "base"):
            if locks := its[layer]["waited_for"]:
                words = ", ".join(f"{lock} ({count})" for lock, count in locks.items())
                yield f"Reported in *{phase}, {layer} layers*: {words}."


def _refresh(scratch: Scratch, connection: Connection[Any]) -> None:
    run_variant(connection, SHIPPED, read_reference(scratch.store), scratch.settings.zone)


def _cut_spare_pages(connection: Connection[Any], store: Store) -> None:
    """Do now what autovacuum would do within minutes, while readers are measured.

    A relation grows by up to 64 pages at once when it is filled. The first vacuum truncates the
    empty ones under ACCESS EXCLUSIVE. That belongs to the first fill, not to a night.
    """
    names = sql.SQL(", ").join(relation.name.identifier for relation in store.refreshed)
    connection.execute(sql.SQL("VACUUM {}").format(names))


class _Phase:
    """Readers and the watcher of locks at work: in a ``with`` block, and in later ones again."""

    def __init__(self, scratch: Scratch, ours: int) -> None:
        self._scratch = scratch
        self._read = ReadLoad(scratch, _layers(scratch.store, Refresh.CONCURRENT), READERS, "read")
        self._base = ReadLoad(scratch, _layers(scratch.store, Refresh.BLOCKING), 1, "base")
        self._watch = LockWatch(scratch, scratch.store.refreshed, ours)
        self._at_work = ExitStack()

    def __enter__(self) -> _Phase:
        for worker in (self._watch, self._read, self._base):
            self._at_work.enter_context(worker)
        return self

    def __exit__(self, *error: Any) -> None:
        self._at_work.__exit__(*error)

    @property
    def found(self) -> dict[str, Any]:
        """What was seen in all blocks so far."""
        return {
            "looks": self._watch.seen.looks,
            "held": self._watch.seen.held,
            "read": seen_by(self._scratch, self._read, self._watch, "read"),
            "base": seen_by(self._scratch, self._base, self._watch, "base"),
        }


def _layers(store: Store, refresh: Refresh) -> Sequence[Relation]:
    return [relation for relation in store.refreshed if relation.refresh is refresh]


def seen_by(scratch: Scratch, load: ReadLoad, watch: LockWatch, layer: str) -> dict[str, Any]:
    """What the readers of a layer saw, and what was seen of them."""
    seconds, waits = load.reads.seconds, load.reads.waits
    return {
        "latency": {kind: percentiles(found) for kind, found in seconds.items() if found},
        "seen_waiting": _of_layer(watch.seen.waits, layer),
        "seen_for_ours": _of_layer(watch.seen.waits_for_ours, layer),
        "reported_waits": len(waits),
        "waited_for": _named(scratch, waits),
        "could_report": load.reads.reported,
    }


def _of_layer(counts: dict[str, int], layer: str) -> int:
    return sum(count for name, count in counts.items() if name.endswith(layer))


def _named(scratch: Scratch, waits: Sequence[str]) -> dict[str, int]:
    """How often which lock was waited for, with relations' names for their numbers."""
    found: Counter[str] = Counter()
    with scratch.session() as connection:
        for lock, count in Counter(waits).items():
            number = re.search(r"relation (\d+) of database \d+", lock)
            if number:
                row = connection.execute("SELECT %s::oid::regclass::text", (number[1],)).fetchone()
                lock = lock.replace(number[0], row[0] if row else number[0])
            found[lock] += count
    return dict(found.most_common())
