"""The command line: ``bin/feature-store plan | apply | status | check-contract | stamp-contract``.

Exit codes: 0 all is well, 1 something about the store must be mended, 2 input that cannot be used,
3 the database cannot be reached.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import Connection

from feature_store.apply import apply
from feature_store.contracts import FeatureSet, read_feature_sets
from feature_store.errors import BadInput, CannotConnect, StoreError, passes_on_its_own
from feature_store.plan import make_plan
from feature_store.session import open_session
from feature_store.settings import Settings, read_settings
from feature_store.stamps import Check, check, stamp
from feature_store.status import as_table, read_status
from feature_store.store import Store, read_store

Command = Callable[[Connection[Any], Store, Settings, argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        settings = read_settings()
        store = read_store(settings.include_dir)
        for name in getattr(options, "relations", []):
            store.find(name)
        for name in getattr(options, "sets", []):
            _find_set(settings, name)
        with open_session(settings, options.command) as connection:
            code: int = options.run(connection, store, settings, options)
            return code
    except BadInput as error:
        return _fail(error, 2)
    except CannotConnect as error:
        return _fail(error, 3)
    except StoreError as error:
        return _fail(error, 1)
    except psycopg.errors.InsufficientPrivilege as error:
        problem = f"{error.diag.message_primary}."
        return _fail(StoreError(problem, next_step="Ask as a role that has that privilege."), 1)
    except psycopg.Error as error:
        return _fail(error, 3 if passes_on_its_own(error) else 1)


def _plan(
    connection: Connection[Any], store: Store, settings: Settings, _: argparse.Namespace
) -> int:
    plan = make_plan(connection, store, settings.include_dir)
    print(plan)
    return 1 if plan.blocked else 0


def _apply(
    connection: Connection[Any], store: Store, settings: Settings, _: argparse.Namespace
) -> int:
    done = apply(connection, store, settings)
    if done.empty:
        print("Nothing to do: everything is as its file.")
        return 0
    print(f"Applied, in one transaction.\n{done}")
    if done.creates:
        print(
            "New relations are empty until the next run of the DAG feature_store_refresh.\n"
            "Stamp the contracts once, before that run: bin/feature-store stamp-contract NAME"
        )
    return 0


def _status(
    connection: Connection[Any], store: Store, settings: Settings, options: argparse.Namespace
) -> int:
    lines = read_status(connection, store, settings.include_dir)
    wanted = set(options.relations)
    print(as_table([line for line in lines if not wanted or line.relation in wanted]))
    return 0


def _check_contract(
    connection: Connection[Any], _: Store, settings: Settings, options: argparse.Namespace
) -> int:
    checks = [check(connection, s) for s in _wanted_sets(settings, options.sets)]
    for checked in checks:
        _print_check(checked)
    return 1 if any(checked.problems for checked in checks) else 0


def _stamp_contract(
    connection: Connection[Any], _: Store, settings: Settings, options: argparse.Namespace
) -> int:
    for name in options.sets:
        _print_check(
            stamp(connection, _find_set(settings, name), replace=options.replace), "stamped, "
        )
    return 0


def _wanted_sets(settings: Settings, names: Sequence[str]) -> Sequence[FeatureSet]:
    if not names:
        return read_feature_sets(settings.include_dir)
    return [_find_set(settings, name) for name in names]


def _find_set(settings: Settings, name: str) -> FeatureSet:
    sets = {s.name: s for s in read_feature_sets(settings.include_dir)}
    if name not in sets:
        raise BadInput(
            f"There is no feature set called {name!r} in {settings.include_dir / 'contracts'}.",
            next_step=f"Use one of {', '.join(sets)}.",
        )
    return sets[name]


def _print_check(checked: Check, lead: str = "") -> None:
    print(f"{checked.name}: {lead}{checked.verdict}")
    print(f"  bound to  {checked.relation or 'nothing yet'}")
    print(f"  stamped   n={checked.stamped_n} {checked.stamped_hash or 'never'}")
    print(f"  database  n={checked.live_n} {checked.live_hash or 'no rows'}")
    print(f"  file      {checked.file_hash}")
    for problem in checked.problems:
        print(f"  - {problem}")


def _fail(error: Exception, code: int) -> int:
    print(f"Error: {error}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="feature-store",
        description="The feature store of the Airflow connection in FEATURE_STORE_CONN_ID "
        "(default: feature_store).",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, words: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=words, description=words)
        command.set_defaults(run=run)
        return command

    add("plan", _plan, "Show what apply would change. Changes nothing.")
    add("apply", _apply, "Create what is missing, in one transaction. Drops and replaces nothing.")
    status = add("status", _status, "Show every relation: rows, size, last refresh, state.")
    status.add_argument("relations", nargs="*", metavar="RELATION", help="only these")
    look = add("check-contract", _check_contract, "Compare contracts with the database.")
    look.add_argument("sets", nargs="*", metavar="SET", help="only these feature sets")
    mark = add("stamp-contract", _stamp_contract, "Write a contract and its hash to the database.")
    mark.add_argument("sets", nargs="+", metavar="SET", help="the feature sets to stamp")
    mark.add_argument(
        "--replace", action="store_true", help="allow other rows than were stamped before"
    )
    return parser
