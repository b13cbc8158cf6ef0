"""A refresh of several relations at once keeps the DAG's order, and leaves nothing out."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

from bench.labels import SPEED_LAYER, label
from bench.reference import read_reference
from bench.scratch import Scratch, scratch_store
from bench.server import BenchServer
from bench.side_by_side import AT_ONCE, order, run_side_by_side
from bench.variants import NIGHT, NIGHT_WITHOUT_SPEED, SHIPPED, Variant, run_variant
from feature_store.declarations.store_definition import Store
from feature_store.settings import Settings
from sandbox.sample.options import SampleOptions
from sandbox.server import Server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def scratch(server: Server, settings: Settings, store_files: Store) -> Iterator[Scratch]:
    """A filled store of 300 listings over four weeks."""
    ours = BenchServer(server, None)
    with scratch_store(ours, SampleOptions(listings=300, days=28), store_files, settings) as store:
        with store.session() as connection:
            run_variant(connection, SHIPPED, read_reference(store_files), settings.zone)
        yield store


def test_a_relation_waits_for_all_below_it_and_a_read_layer_for_all_base_layers(
    store_files: Store,
) -> None:
    labels = {r.name: label(r) for r in store_files.refreshed}
    waits = {
        labels[name]: {labels[b] for b in before} for name, before in order(store_files).items()
    }
    assert waits["D1"] == set()
    assert waits["E"] == {"A", "B", "C", "D1", "D2", "D3"}, "B and C, which it does not read, too"
    assert waits["D4"] == waits["E"] | {"E"}
    assert waits["E-AI"] == waits["D4"] | {"D4", "E-clean", "E-speed"}


def test_what_is_left_out_is_waited_for_by_nobody_and_hides_nothing_below_it(
    store_files: Store,
) -> None:
    labels = {r.name: label(r) for r in store_files.refreshed}
    speed = {name for name, its in labels.items() if its in SPEED_LAYER}
    whole, without = order(store_files), order(store_files, speed)
    assert whole.keys() - without.keys() == speed
    assert all(without[name] == whole[name] - speed for name in without)
    list(TopologicalSorter(without).static_order())  # raises if there is a cycle


def test_as_many_refreshes_at_once_as_tasks_that_we_ship() -> None:
    shipped = (ROOT / "config" / "airflow.env").read_text().splitlines()
    assert f"AIRFLOW__CORE__PARALLELISM={AT_ONCE}" in shipped


_SINCE = """
SELECT relation, started_at, finished_at FROM feature_store_audit.refresh
WHERE started_at > %s ORDER BY started_at
"""


@pytest.mark.parametrize("variant", [NIGHT, NIGHT_WITHOUT_SPEED])
def test_side_by_side_refreshes_each_relation_once_and_some_at_once(
    scratch: Scratch, variant: Variant
) -> None:
    refreshed = [r for r in scratch.store.refreshed if variant.speed or label(r) not in SPEED_LAYER]
    with scratch.session() as connection:
        (before,) = connection.execute("SELECT clock_timestamp()").fetchone()
        took = run_side_by_side(scratch, variant)
        done = connection.execute(_SINCE, (before,)).fetchall()
    assert sorted(name for name, _, _ in done) == sorted(str(r.name) for r in refreshed)
    assert any(begins < ended for (_, _, ended), (_, begins, _) in pairwise(done)), "one by one"
    assert took.seconds.keys() == {"whole"}
    assert took.total > 0
