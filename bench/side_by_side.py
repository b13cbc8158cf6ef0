"""A whole refresh as the DAG runs it: independent relations at the same time."""

from __future__ import annotations

import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter

from bench.labels import SPEED_LAYER, label
from bench.scratch import Scratch
from bench.variants import Took, Variant, take_the_lease
from feature_store.audit.lease import Lease
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.store_definition import Relation, Store
from feature_store.refresh.refresh import refresh
from feature_store.relation_name import Name

WHOLE = "whole"
AT_ONCE = 8
"""Refreshes at once, at most: as many tasks as ``config/airflow.env`` lets run."""


def run_side_by_side(scratch: Scratch, variant: Variant) -> Took:
    """Refresh the store, each relation in its own session, as soon as what it reads is done.

    Sessions are opened inside what is timed, as a task opens its own; what Airflow needs for a task
    is not in it (``bench.orchestration`` measures that).

    Args:
        scratch: a filled store.
        variant: tells whether the speed layer is refreshed; else it keeps the rows that it has.

    Returns:
        The whole's seconds, from the first refresh's begin to the last one's end: single ones would
        overlap.
    """
    left_out = {
        r.name for r in scratch.store.refreshed if not variant.speed and label(r) in SPEED_LAYER
    }
    with scratch.session() as connection:
        lease = take_the_lease(connection)
    relations = {r.name: r for r in scratch.store.refreshed}
    turns = TopologicalSorter(order(scratch.store, left_out))
    turns.prepare()
    running: dict[Future[None], Name] = {}
    started = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while turns.is_active():
            for name in turns.get_ready():
                running[pool.submit(_refresh, scratch, relations[name], lease)] = name
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                done.result()
                turns.done(running.pop(done))
    return Took({WHOLE: time.perf_counter() - started}, frozenset())


def order(store: Store, left_out: Collection[Name] = ()) -> dict[Name, set[Name]]:
    """All that each relation waits for, as in the DAG.

    A relation waits for what it reads, directly or through what is left out; a read layer for all
    base layers, too.
    """
    bases = [r for r in store.refreshed if r.refresh is Refresh.BLOCKING]
    read_layers = [r for r in store.refreshed if r.refresh is Refresh.CONCURRENT]
    waits: dict[Name, set[Name]] = {}
    for relation in (*bases, *read_layers):  # each after all that it waits for
        before = {r.name for r in store.refreshed_before(relation)}
        if relation.refresh is Refresh.CONCURRENT:
            before |= {r.name for r in bases}
        waits[relation.name] = before.union(*(waits[name] for name in before))
    return {n: before.difference(left_out) for n, before in waits.items() if n not in left_out}


def _refresh(scratch: Scratch, relation: Relation, lease: Lease) -> None:
    with scratch.session() as connection:
        refresh(connection, relation, lease, scratch.settings.zone)
