"""The commands for what a person stamps: contracts and proofs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from feature_store.cli.arguments import find_set, wanted_sets
from feature_store.connection import Connection
from feature_store.declarations.store_definition import Store
from feature_store.schema.stamps.contract_stamp import ContractCheck, check
from feature_store.schema.stamps.proof_stamp import stamp_proofs, stamp_sets
from feature_store.settings import Settings
from feature_store.text_format import bullets


def check_contract(
    connection: Connection, _: Store, settings: Settings, options: argparse.Namespace
) -> int:
    """Show stamp, database and file of each set; 1 if they disagree."""
    checks = [check(connection, s) for s in wanted_sets(settings, options.sets)]
    for checked in checks:
        print_check(checked)
    return 1 if any(checked.problems for checked in checks) else 0


def stamp_contract(
    connection: Connection, store: Store, settings: Settings, options: argparse.Namespace
) -> int:
    """Stamp sets, and the proofs with them."""
    sets = [find_set(settings, name) for name in options.sets]
    include_dir = settings.include_dir
    changed = stamp_sets(connection, store, include_dir, sets, replace=options.replace)
    for feature_set in sets:
        print_check(check(connection, feature_set), "stamped, ")
    print_stamped(changed)
    return 0


def stamp_the_proofs(
    connection: Connection, store: Store, settings: Settings, _: argparse.Namespace
) -> int:
    """Stamp the proofs alone."""
    print_stamped(stamp_proofs(connection, store, settings.include_dir))
    return 0


def print_stamped(changed: Sequence[str]) -> None:
    """Say which proofs are new, gone or changed with this stamp."""
    print("The proofs are stamped." + (f" Changed:\n{bullets(list(changed))}" if changed else ""))


def print_check(checked: ContractCheck, lead: str = "") -> None:
    """Print what `check_contract` shows of a set."""
    print(f"{checked.name}: {lead}{checked.result}")
    print(f"  bound to  {checked.relation or 'nothing yet'}")
    print(f"  stamped   n={checked.stamped_n} {checked.stamped_hash or 'never'}")
    print(f"  database  n={checked.live_n} {checked.live_hash or 'no rows'}")
    print(f"  file      {checked.file_hash}")
    for problem in checked.problems:
        print(f"  - {problem}")
