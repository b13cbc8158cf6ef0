"""Measuring one size: all variants in turn, several times, and what a night costs around them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from bench.checks_in_the_dag import time_checks_in_the_dag
from bench.machine import describe_server, describe_session
from bench.nights import time_checks, time_unchanged_night
from bench.options import Size
from bench.reference import Reference
from bench.scratch import Scratch, SessionKind
from bench.server import BenchServer
from bench.side_by_side import run_side_by_side
from bench.variants import (
    ALL,
    FILL_REFERENCE,
    FLOOR_SCHEMA,
    SHIPPED,
    UNDER_DEFAULTS,
    WITHOUT_REFERENCE,
    Took,
    Variant,
    create_reference,
    run_variant,
)
from bench.verify import verify
from feature_store.connection import Connection, one_value


def measure_size(
    server: BenchServer,
    scratch: Scratch,
    size: Size,
    reference: Reference,
    patience: float,
    *,
    compare: bool,
) -> dict[str, Any]:
    """Measure one size under every profile of the server.

    Args:
        server: whose settings are changed between the profiles.
        scratch: a store with the size's sample, never refreshed.
        size: how often everything is measured.
        reference: the reference's relations and ours.
        patience: seconds after which a query of the reference's own is given up.
        compare: whether the reference is built and measured, too.

    Raises:
        RowsDiffer: the reference does not give our rows.
    """
    with scratch.session(SHIPPED.session) as connection:
        _fill(connection, scratch, reference, compare=compare)
        found: dict[str, Any] = {
            "listings": size.listings,
            "runs": size.runs,
            "rows": _catalog_numbers(connection, reference, "count"),
            "bytes": _catalog_numbers(connection, reference, "bytes"),
        }
        if compare:
            found["verified"] = verify(connection, reference)
            say(f"the reference gives our rows: {sum(found['verified'].values()):,} compared")
    main, *others = server.profiles
    passes = measure_variants(
        scratch, ALL if compare else WITHOUT_REFERENCE, size.runs, reference, patience
    )
    found["passes"] = {main.name: passes.seconds}
    found["given_up"] = {main.name: passes.given_up}
    found["unchanged"] = time_unchanged_night(scratch, size.runs)
    found["checks"] = time_checks(scratch, size.runs)
    found["checks_in_the_dag"] = time_checks_in_the_dag(scratch, size.runs)
    for profile in others:
        server.use(profile)
        passes = measure_variants(scratch, UNDER_DEFAULTS, size.runs, reference, patience)
        found["passes"][profile.name] = passes.seconds
    if others:
        server.use(main)
    return found


@dataclass(frozen=True)
class Passes:
    """What was measured of several variants.

    Attributes:
        seconds: by variant and relation: run by run.
        given_up: by variant and relation: the runs, from 0, in which it was given up, so that the
            seconds are a lower bound. Relations that never were are not in it.
    """

    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    given_up: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    def add(self, variant: Variant, run: int, took: Took) -> None:
        """Add a run of a variant."""
        seconds = self.seconds.setdefault(variant.name, {})
        for relation, figure in took.seconds.items():
            seconds.setdefault(relation, []).append(round(figure, 4))
        for relation in sorted(took.given_up):
            runs = self.given_up.setdefault(variant.name, {})
            runs.setdefault(relation, []).append(run)


def measure_variants(
    scratch: Scratch,
    variants: Sequence[Variant],
    runs: int,
    reference: Reference,
    patience: float,
) -> Passes:
    """Time every variant so many times, in turn, each run in an order of its own (`in_turn`)."""
    passes = Passes()
    for run in range(runs):
        for variant in in_turn(variants, run):
            with scratch.session(variant.session) as connection:
                connection.execute("CHECKPOINT")
                if variant.side_by_side:
                    took = run_side_by_side(scratch, variant)
                else:
                    zone = scratch.settings.zone
                    took = run_variant(connection, variant, reference, zone, patience)
            passes.add(variant, run, took)
            ended = f", given up: {', '.join(sorted(took.given_up))}" if took.given_up else ""
            say(f"run {run + 1} of {runs}, {variant.name}: {took.total:.2f} s{ended}")
    return passes


def in_turn(variants: Sequence[Variant], run: int) -> list[Variant]:
    """The variants in the order of that run: the same at any time, another one in another run.

    A variant may be slower right after one that writes much, so no variant may always follow the
    same other one.
    """
    return random.Random(run).sample(variants, len(variants))  # noqa: S311  # an order


def describe_conditions(server: BenchServer, scratch: Scratch) -> dict[str, Any]:
    """The settings of every profile, and of the two kinds of session."""
    profiles = {}
    for profile in reversed(server.profiles):  # the first one stays in force
        server.use(profile)
        with scratch.session(SessionKind.PLAIN) as connection:
            profiles[profile.name] = describe_server(connection)
    sessions = {}
    for kind in SessionKind:
        with scratch.session(kind) as connection:
            sessions[kind.value] = describe_session(connection)
    return {"profiles": profiles, "sessions": sessions}


def say(words: str) -> None:
    """Show progress to the person who waits."""
    print(f"  {words}", flush=True)


def _fill(connection: Connection, scratch: Scratch, reference: Reference, *, compare: bool) -> None:
    """The first refresh of everything, which no variant counts, because it happens only once."""
    run_variant(connection, SHIPPED, reference, scratch.settings.zone)
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(FLOOR_SCHEMA)))
    if compare:
        create_reference(connection, reference)
        run_variant(connection, FILL_REFERENCE, reference, scratch.settings.zone)
    say("filled")


def _catalog_numbers(connection: Connection, reference: Reference, what: str) -> dict[str, int]:
    queries = {
        "count": sql.SQL("SELECT count(*) FROM {0}"),
        "bytes": sql.SQL("SELECT pg_total_relation_size({1}::regclass)"),
    }
    names: Iterable[Any] = (relation.name for relation in reference.store.refreshed)
    numbers = {}
    for name in names:
        quoted = sql.Literal(name.quoted)
        numbers[str(name)] = one_value(connection, queries[what].format(name.identifier, quoted))
    return numbers
