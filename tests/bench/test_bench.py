"""The benchmark on a real server: what it compares is equal, and what it refuses fails at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
import sqlglot
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import QueryCanceled

from bench import cli
from bench.bloat import measure_bloat
from bench.bloat_command import bloat_table
from bench.checks_in_the_dag import time_checks_in_the_dag
from bench.figure import Figure
from bench.labels import label
from bench.lock_watch import LockWatch
from bench.machine import describe_machine
from bench.measure import in_turn, measure_variants
from bench.nights import time_checks, time_unchanged_night
from bench.options import Options, Size, parse_sizes
from bench.read_load import ReadLoad, percentiles
from bench.readers_command import measure_readers, reader_tables, seen_by
from bench.reference import Reference, read_reference
from bench.scratch import Scratch, check_disk, scratch_store
from bench.server import BenchServer, open_server
from bench.tables import refresh_tables
from bench.targets import Judged
from bench.variants import (
    ALL,
    FILL_REFERENCE,
    FLOOR,
    REFERENCE_OURS,
    REFERENCE_PLAIN,
    REFERENCE_SPARED,
    SHIPPED,
    Variant,
    create_reference,
    run_variant,
)
from bench.verify import RowsDiffer, verify
from feature_store.connection import Connection, one_row
from feature_store.declarations.files.schema_rewrite import moved
from feature_store.declarations.store_definition import Refresh, Store
from feature_store.errors import BadInput, NotReady
from feature_store.relation_name import Name
from feature_store.settings import Settings
from sandbox.sample.options import SampleOptions
from sandbox.server import Server

# It measures on servers of its own, which takes long; no user's night depends on it.
pytestmark = pytest.mark.slow

E = Name("ml", "tom_features_v1_enriched_mv")
D4 = Name("ml", "tom_speed_anchor_v1_mv")
F2 = Name("feature_store", "device_meta_gmc_stats_t0_v1_mv")

_ABOUT = {"machine": describe_machine(), "conditions": {"profiles": {}, "sessions": {}}}


@pytest.fixture(scope="module")
def reference(store_files: Store) -> Reference:
    return read_reference(store_files)


@pytest.fixture(scope="module")
def scratch(
    server: Server, settings: Settings, store_files: Store, reference: Reference
) -> Iterator[Scratch]:
    """A store of 500 listings over four weeks, all of it filled, ours and the reference's."""
    ours = BenchServer(server, None)
    with scratch_store(ours, SampleOptions(listings=500, days=28), store_files, settings) as store:
        with store.session() as connection:
            run_variant(connection, SHIPPED, reference, settings.zone)
            create_reference(connection, reference)
            connection.execute("CREATE SCHEMA floor")
            run_variant(connection, FILL_REFERENCE, reference, settings.zone)
        yield store


def test_the_reference_gives_our_rows_in_every_relation(
    scratch: Scratch, reference: Reference
) -> None:
    with scratch.session() as connection:
        compared = verify(connection, reference)
    assert set(compared) == {str(r.name) for r in reference.refreshed}
    assert all(rows > 0 for rows in compared.values())


def test_the_reference_writes_its_rows_in_no_order(reference: Reference) -> None:
    queries = [sqlglot.parse_one(r.file.query, dialect="postgres") for r in reference.relations]
    assert not any(query.args.get("order") for query in queries)
    ours = [sqlglot.parse_one(r.file.query, dialect="postgres") for r in reference.store.relations]
    assert any(query.args.get("order") for query in ours), "there would be nothing to leave out"


def test_a_query_that_takes_too_long_is_given_up_and_keeps_its_rows(
    scratch: Scratch, reference: Reference, settings: Settings
) -> None:
    with scratch.session(REFERENCE_OURS.session) as connection:
        before = connection.execute("SHOW statement_timeout").fetchone()
        whole = run_variant(connection, REFERENCE_OURS, reference, settings.zone, patience=600)
        assert connection.execute("SHOW statement_timeout").fetchone() == before
        took = run_variant(connection, REFERENCE_OURS, reference, settings.zone, patience=0.002)
        assert connection.execute("SHOW statement_timeout").fetchone() == before
        assert verify(connection, reference), "what was given up has other rows than before"
    assert whole.given_up == frozenset()
    assert took.given_up == {str(name) for name in reference.own}
    assert all(took.seconds[name] == 0.002 for name in took.given_up)
    assert set(took.seconds) == {str(r.name) for r in reference.refreshed}, "the others went on"


def test_a_query_that_somebody_ends_is_not_taken_for_a_long_one(
    scratch: Scratch, reference: Reference, settings: Settings
) -> None:
    with (
        scratch.session() as other,
        scratch.session() as connection,
        ThreadPoolExecutor() as pool,
        other.transaction(),
    ):
        other.execute(f"REFRESH MATERIALIZED VIEW reference.{E.relation}")  # holds a lock
        waits = pool.submit(run_variant, connection, REFERENCE_PLAIN, reference, settings.zone, 600)
        cancel = "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted AND pid = %s"
        while not other.execute(cancel, (connection.info.backend_pid,)).fetchone():
            assert not waits.done()
            time.sleep(0.01)
        with pytest.raises(QueryCanceled):
            waits.result()


@pytest.mark.parametrize(
    ("variant", "allowed"), [(REFERENCE_PLAIN, "on"), (REFERENCE_SPARED, "off")]
)
def test_only_where_it_says_so_a_variant_spares_the_reference_nested_loops(
    scratch: Scratch, reference: Reference, settings: Settings, variant: Variant, allowed: str
) -> None:
    f2 = next(r for r in reference.relations if r.name == F2)
    alone = Reference((f2,), reference.own, reference.store)
    with (
        scratch.session(variant.session) as connection,
        connection.transaction(force_rollback=True),
    ):
        connection.execute(f"DROP MATERIALIZED VIEW reference.{F2.relation} CASCADE")
        connection.execute(
            f"CREATE MATERIALIZED VIEW reference.{F2.relation} AS "
            "SELECT current_setting('enable_nestloop') AS allowed WITH NO DATA"
        )
        run_variant(connection, variant, alone, settings.zone)
        seen = connection.execute(f"SELECT allowed FROM reference.{F2.relation}").fetchone()
    assert seen == (allowed,)


def test_no_variant_stands_behind_the_same_one_in_every_run() -> None:
    runs = [in_turn(ALL, run) for run in range(3)]
    assert all(sorted(v.name for v in run) == sorted(v.name for v in ALL) for run in runs)
    assert runs == [in_turn(ALL, run) for run in range(3)], "the order can be told again"
    pairs = [set(pairwise(run)) for run in runs]
    assert not pairs[0] & pairs[1] & pairs[2]


def test_what_was_given_up_is_a_lower_bound_in_the_tables(
    scratch: Scratch, reference: Reference
) -> None:
    passes = measure_variants(scratch, ALL, 1, reference, 0.002)
    names = [str(r.name) for r in reference.store.refreshed]
    size = {
        "listings": 500,
        "runs": 1,
        "rows": dict.fromkeys(names, 1),
        "passes": {"tuned": passes.seconds},
        "given_up": {"tuned": passes.given_up},
        "unchanged": [{"all": 1.0}],
        "checks": {"first": [{"all": 1.0}], "later": [{"all": 1.0}]},
        "checks_in_the_dag": [1.0],
    }
    result = {
        **_ABOUT,
        "patience": 0.002,
        "labels": {str(r.name): label(r) for r in reference.store.refreshed},
        "helpers": {str(h): [str(s) for s in served] for h, served in reference.helpers.items()},
        "sizes": [size],
    }
    tables = refresh_tables(result)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in tables.splitlines()]
    assert "took longer than 0.002 s was given up" in tables
    for name in ("E", "D4", "F2", "total"):
        found = next(row for row in rows if row and row[0] == name)
        of_reference, of_ours = found[2:5], found[5:]
        assert name == "total" or of_reference == ["> 0.002"] * 3
        assert not any(">" in cell for cell in of_ours)
    for name in ("F2, plain", "whole with speed layer"):
        ratios = next(row for row in rows if row and row[0] == name)[2:]
        assert all(cell == "–" or cell.startswith("> ") for cell in ratios)


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        pytest.param(E, "interval '14 days'", "interval '13 days'", id="a shorter window in E"),
        pytest.param(D4, "<= 168", "<= 100", id="another weighted share in D4"),
        pytest.param(F2, "ln(r.n_color_in_seg", "ln(1e-8 + r.n_color_in_seg", id="entropy in F2"),
    ],
)
def test_a_reference_with_other_rows_is_noticed(
    scratch: Scratch, reference: Reference, name: Name, right: str, wrong: str
) -> None:
    names = {relation.name: "reference" for relation in reference.relations}
    broken = next(r for r in reference.relations if r.name == name)
    text = moved(broken.file.create.text, names)
    assert right in text
    with scratch.session() as connection, connection.transaction(force_rollback=True):
        connection.execute(f"DROP MATERIALIZED VIEW reference.{name.relation} CASCADE")
        connection.execute(text.replace(right, wrong).encode())
        connection.execute(f"REFRESH MATERIALIZED VIEW reference.{name.relation}")
        alone = Reference((broken,), reference.own, reference.store)
        with pytest.raises(RowsDiffer, match=name.relation):
            verify(connection, alone)


def test_the_reference_does_without_what_only_helps_ours(reference: Reference) -> None:
    assert reference.own == {E, D4, F2}
    names = {relation.name for relation in reference.refreshed}
    assert names.isdisjoint(reference.helpers)
    assert all(served for served in reference.helpers.values())


def test_every_variant_times_the_relations_that_it_is_about(
    scratch: Scratch, reference: Reference
) -> None:
    passes = measure_variants(scratch, (SHIPPED, REFERENCE_PLAIN, FLOOR), 2, reference, 600.0)
    seconds = passes.seconds
    assert passes.given_up == {}
    ours = {str(r.name) for r in scratch.store.refreshed}
    assert set(seconds["shipped"]) == set(seconds["floor"]) == ours
    assert set(seconds["reference, plain"]) == {str(name) for name in reference.own}
    assert all(len(runs) == 2 for figures in seconds.values() for runs in figures.values())


def test_an_unchanged_night_is_found_unchanged(scratch: Scratch) -> None:
    (night,) = time_unchanged_night(scratch, 1)
    assert set(night) == {str(r.name) for r in scratch.store.refreshed}


def test_suites_and_history_are_timed_step_by_step(scratch: Scratch) -> None:
    nights = time_checks(scratch, 1)
    (first,), (later,) = nights["first"], nights["later"]
    assert first.keys() == later.keys()
    assert {"suite uniqueness", "suite spam_absence", "suite as_of_counts", "history"} <= set(later)
    (seconds,) = time_checks_in_the_dag(scratch, 1)
    assert seconds > 0
    with scratch.session() as connection:
        made = connection.execute(
            "SELECT array_agg(l.proof ORDER BY l.proof) FROM feature_store_audit.proof_log AS l "
            "WHERE l.suite_event IS NOT NULL GROUP BY l.suite_event"
        ).fetchall()
    assert len(made) == 3, "two nights step by step, one as the DAG runs it"
    assert made[0] == made[1] == made[2], "the same proofs in each"


def test_readers_of_read_layers_never_wait_in_a_refresh(scratch: Scratch) -> None:
    measured = measure_readers(scratch, refreshes=1, idle_seconds=0.2)
    found = measured["phases"]
    for phase in found.values():
        assert phase["read"]["latency"]["key"]["reads"] > 0
        assert phase["read"]["reported_waits"] == phase["read"]["seen_waiting"] == 0
    read_layers = {str(r.name) for r in scratch.store.refreshed if r.refresh is Refresh.CONCURRENT}
    assert read_layers.isdisjoint(found["refresh"]["held"])
    tables = reader_tables({**_ABOUT, **measured, "listings": 500})
    assert "| lock waits of readers of read layers " in tables


def test_readers_are_measured_on_layers_of_which_a_vacuum_cuts_nothing(scratch: Scratch) -> None:
    # Autovacuum locks readers out while it cuts off empty pages: that is no refresh's doing.
    layers = [r.name for r in scratch.store.refreshed if r.refresh is Refresh.CONCURRENT]

    def cut_by_vacuum(connection: Connection) -> list[str]:
        notices: list[str] = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        connection.execute(f"VACUUM (VERBOSE) {', '.join(map(str, layers))}".encode())
        return [notice for notice in notices if ": truncated " in notice]

    def fill(connection: Connection) -> None:
        for layer in layers:
            connection.execute(f"REFRESH MATERIALIZED VIEW {layer}".encode())

    with scratch.session() as connection:
        fill(connection)
        assert cut_by_vacuum(connection), "a fill leaves nothing to cut: this proves nothing"
        fill(connection)
    measure_readers(scratch, refreshes=1, idle_seconds=0.1)
    with scratch.session() as connection:
        assert cut_by_vacuum(connection) == []


def test_a_reader_that_waits_is_seen_and_reported(scratch: Scratch) -> None:
    relation = scratch.store.refreshed[0]
    load = ReadLoad(scratch, [relation], 1, "base")
    with (
        scratch.session() as connection,
        LockWatch(scratch, [relation], connection.info.backend_pid) as watch,
        load,
    ):
        with connection.transaction():
            connection.execute(f"REFRESH MATERIALIZED VIEW {relation.name}")
            time.sleep(0.5)
        time.sleep(0.1)
    assert load.reads.waits
    assert all(wait.startswith("AccessShareLock on relation ") for wait in load.reads.waits)
    assert watch.seen.waits["bench reader base"] > 0
    assert watch.seen.waits_for_ours == watch.seen.waits
    seen = seen_by(scratch, load, watch, "base")
    assert seen["waited_for"] == {f"AccessShareLock on {relation.name}": len(load.reads.waits)}
    assert watch.seen.held[str(relation.name)] >= 0.4


def test_nights_change_a_little_and_sizes_are_kept(scratch: Scratch) -> None:
    listings, sold = _rows_and_sales(scratch)
    nights = measure_bloat(scratch, 3, longest_wait=0)
    listings_now, sold_now = _rows_and_sales(scratch)
    assert 0 < listings_now - listings < listings / 10
    assert 0 < sold_now - sold < listings / 10
    names = {str(r.name) for r in scratch.store.refreshed}
    assert set(nights["nights"][1]["bytes"]) == set(nights["compact"]["last"]) == names
    table = bloat_table({**_ABOUT, **nights, "listings": 500, "labels": {n: n for n in names}})
    assert all(f"| {name} " in table for name in names)


def _rows_and_sales(scratch: Scratch) -> tuple[int, int]:
    with scratch.session() as connection:
        return one_row(
            connection, 'SELECT count(*), count(sold_date) FROM "iPhone".iphone_listings'
        )


@pytest.mark.parametrize(
    ("target", "observed", "at_least", "verdict"),
    [
        (20.0, Figure(21.0), True, "reached"),
        (20.0, Figure(15.0), True, "NOT reached, short by 25%"),
        (2.0, Figure(3.0), False, "NOT reached, over by 50%"),
        (0.0, Figure(3.0), False, "NOT reached, 3 too many"),
        (2.0, None, False, "not measured"),
        pytest.param(20.0, Figure(21.0, True), True, "reached", id="even its lower bound is"),
        pytest.param(20.0, Figure(15.0, True), True, "open, at least this", id="may be more"),
        pytest.param(2.0, Figure(1.0, True), False, "open, at least this", id="may be too much"),
        pytest.param(2.0, Figure(3.0, True), False, "NOT reached, over by 50%", id="is too much"),
    ],
)
def test_a_target_is_reached_or_missed_by_so_much(
    target: float, observed: Figure | None, at_least: bool, verdict: str
) -> None:
    assert Judged("what", target, observed, at_least=at_least).verdict == verdict


def test_percentiles_are_in_milliseconds() -> None:
    found = percentiles([n / 1000 for n in range(1, 101)])
    assert found == {"reads": 100, "p50": 51.0, "p95": 96.0, "p99": 100.0, "max": 100.0}


def test_sizes_are_read_with_their_runs() -> None:
    assert parse_sizes("100000:1, 1000", 3) == (Size(1000, 3), Size(100_000, 1))


@pytest.mark.parametrize("seconds", [0, -1, 0.0001, 1e9, float("nan")])
def test_a_patience_that_cannot_be_is_refused(seconds: float, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="PATIENCE"):
        Options(parse_sizes("100", 1), tmp_path, patience=seconds)


@pytest.mark.parametrize("text", ["0", "-5", "x", "", "10 10", "10:0", "2000000", "1:2:3"])
def test_a_size_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_sizes(text, 3)


def test_a_disk_too_small_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="disk is too small"):
        check_disk(10**18, tmp_path)


def test_a_role_that_may_not_create_databases_is_told_so(server: Server) -> None:
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute("CREATE ROLE bench_reader LOGIN")
    theirs = BenchServer(Server(make_conninfo(server.conninfo, user="bench_reader")), None)
    with pytest.raises(NotReady, match="CREATEDB"), theirs.scratch_database("1"):
        pass


def test_on_a_server_of_the_user_only_its_own_database_comes_and_goes(server: Server) -> None:
    with open_server(server.conninfo) as theirs, theirs.scratch_database("1") as conninfo:
        name = conninfo_to_dict(conninfo)["dbname"]
        assert str(name).startswith("feature_store_bench_")
        assert server.has_database(str(name))
        assert theirs.data_dir is None
    assert not server.has_database(str(name))


def test_bad_input_is_one_line_and_nothing_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cli, "BENCH_HOME", tmp_path)
    monkeypatch.setenv("BENCH_DSN", "host=127.0.0.1 port=1 user=u password=geheim")
    out = ["--out", str(tmp_path / "results")]
    assert cli.main(["refresh", "--sizes", "0", *out]) == 2
    assert "size of 0" in capsys.readouterr().err
    assert cli.main(["refresh", "--sizes", "10", *out]) == 3
    told = capsys.readouterr().err
    assert "cannot be reached" in told
    assert "geheim" not in told
    assert not (tmp_path / "results").exists()
