"""The command that tries what apply would do and leaves nothing behind."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from feature_store.cli.arguments import minutes, offer_stamps
from feature_store.connection import Connection
from feature_store.declarations.store_definition import Store
from feature_store.schema.planning.rehearsal import rehearse
from feature_store.settings import Settings
from feature_store.text_format import bullets


def add_rehearsal(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add it to the command line."""
    trial = add(
        "rehearse",
        _rehearse,
        "Build what apply would replace or create, prove it, compare it, and throw it away.",
    )
    trial.add_argument(
        "--replace",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME",
        help="only these relations; default: all that differ from their file",
    )
    offer_stamps(trial)
    trial.add_argument(
        "--minutes", type=minutes, default=60.0, help="how long it may take; default: 60"
    )


def _rehearse(
    connection: Connection, store: Store, settings: Settings, options: argparse.Namespace
) -> int:
    done = rehearse(
        connection, store, settings, options.replace, options.minutes, stamps=options.sets
    )
    refusals = done.plan.problems
    if done.relations:
        print("\n".join(map(str, done.relations)))
    elif refusals:
        print("Nothing was rehearsed.")
    else:
        print("Nothing to rehearse: every relation is as its file says.")
    if effects := done.plan.contracts:
        print(f"Contracts:\n{bullets(map(str, effects))}")
    if refusals:
        print(f"Apply would refuse:\n{bullets(refusals)}")
    if done.relations:
        print(f"Rehearsed in {done.seconds:.0f} s and thrown away. Readers saw nothing of it.")
    return 0 if not refusals and all(one.fits for one in done.relations) else 1
