"""The command line: ``bin/feature-store plan | apply | status | report | …``.

Exit codes: 0 all is well, 1 something about the store must be fixed, 2 input that cannot be used,
3 the database cannot be reached. As for any program: 130 stopped from the keyboard, 141 the reader
of the output has closed the pipe.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import psycopg

from feature_store.cli.answer import Answer, as_json
from feature_store.cli.applied import what_is_to_do, what_is_to_stamp, what_was_done
from feature_store.cli.arguments import (
    Parser,
    chosen_settings,
    day,
    find_set,
    folder,
    login,
    offer_stamps,
    reason,
    text,
)
from feature_store.cli.folder_check import add_folder_commands
from feature_store.cli.init import add_init, init_folder
from feature_store.cli.log_commands import add_log_commands
from feature_store.cli.reading_commands import add_reading_commands
from feature_store.cli.rehearsal import add_rehearsal
from feature_store.cli.stamps import (
    check_contract,
    print_check,
    stamp_contract,
    stamp_the_proofs,
)
from feature_store.cli.terminal import Alarm, close_quietly, plain_output, reword, say
from feature_store.connection import Connection
from feature_store.database.session import open_session, refuse_standby
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.store_definition import Store, read_store
from feature_store.errors import BadInput, CannotConnect, StoreError, passes_on_its_own
from feature_store.schema.apply import apply
from feature_store.schema.first_start import bootstrap
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.source_problems import source_problems
from feature_store.schema.stamps.contract_stamp import check
from feature_store.schema.store_record import refuse_another
from feature_store.settings import Settings
from feature_store.store_address import addressed, as_here
from feature_store.text_format import bounded, bullets
from feature_store.validation.history.acceptance import accept_history
from feature_store.validation.leaks.gate_context import FAILURE
from feature_store.validation.leaks.gates import check_gates

Command = Callable[[Connection, Store, Settings, argparse.Namespace], Answer | int]
_STOPPED, _CLOSED_PIPE = 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code.
    """
    try:
        with plain_output():
            return _run(_parser().parse_args(arguments))
    except BrokenPipeError:
        close_quietly()
        return _CLOSED_PIPE
    except KeyboardInterrupt:
        return _STOPPED


def _run(options: argparse.Namespace) -> int:
    login = "the login"
    try:
        if "offline" in options:  # asks no database, and what it prints may be kept as a file
            reword(as_here, sys.stderr)
            return int(options.offline(options))
        if options.command == "init":  # has no folder yet
            return init_folder(options)
        settings = chosen_settings(options)
        login = f"the login of {settings.conn_id!r}"
        change = addressed(settings, _in_json if getattr(options, "json", False) else str)
        reword(change, sys.stdout, sys.stderr)
        store = read_store(settings.include_dir)
        for name in getattr(options, "relations", []):
            store.find(name)
        for name in getattr(options, "sets", []):
            find_set(settings, name)
        with open_session(settings, options.command) as connection:
            with suppress(psycopg.errors.InsufficientPrivilege):  # a reviewer does not see it
                refuse_another(connection, store.profile)
            return _told(_done(connection, store, settings, options), options)
    except BadInput as error:
        return _fail(error, 2, options)
    except CannotConnect as error:
        return _fail(error, 3, options)
    except StoreError as error:
        return _fail(error, 1, options)
    except psycopg.errors.InsufficientPrivilege as error:
        refused = StoreError(
            f"{error.diag.message_primary}, with {login}.",
            readers="nothing was changed.",
            next_step="Log in as the role whose command it is: docs/settings.md lists them. What "
            "changes the store or a stamp is the owner's. A role that should have the privilege "
            "gets it by what `bin/feature-store grants` prints.",
        )
        return _fail(refused, 1, options)
    except psycopg.Error as error:
        return _fail(error, 3 if passes_on_its_own(error) else 1, options)


def _done(
    connection: Connection, store: Store, settings: Settings, options: argparse.Namespace
) -> Answer | int:
    try:
        run: Command = options.run
        return run(connection, store, settings, options)
    except psycopg.errors.ReadOnlySqlTransaction:
        refuse_standby(connection, settings)  # says what to connect to
        raise


def _plan(
    connection: Connection, store: Store, settings: Settings, options: argparse.Namespace
) -> int:
    include_dir = settings.include_dir
    plan = make_plan(connection, store, include_dir, options.replace, options.drop, options.sets)
    sources = source_problems(connection, store.sources)
    if sources:
        print(f"Sources, not as sources.toml says: {len(sources)}\n{bullets(sources)}")
    print(plan)
    if plan.empty and not plan.problems:
        with suppress(psycopg.errors.InsufficientPrivilege):  # not everybody sees the stamps
            for words in what_is_to_stamp(connection, include_dir):
                print(words)
    return 1 if sources or plan.problems else 0


def _apply(
    connection: Connection, store: Store, settings: Settings, options: argparse.Namespace
) -> int:
    stamps = [find_set(settings, name) for name in options.sets]
    done = apply(connection, store, settings, options.replace, stamps, options.drop)
    print(what_was_done(done))
    for feature_set in stamps:
        print_check(check(connection, feature_set), "stamped, ")
    if stamps:
        print("The proofs are stamped as the files are now.")
    for words in what_is_to_do(connection, settings.include_dir, done, store.profile.dag_id):
        print(words)
    return 0


def _bootstrap(
    connection: Connection, store: Store, settings: Settings, _: argparse.Namespace
) -> int:
    if bootstrap(connection, store, settings):
        print("Created the store and stamped its contracts.")
    else:
        print("There is a store already: nothing was changed. To see what differs: plan.")
    return 0


def _check_leaks(
    connection: Connection, store: Store, settings: Settings, _: argparse.Namespace
) -> int:
    rules, exceptions = read_rules(settings.include_dir), read_exceptions(settings.include_dir)
    sets = read_feature_sets(settings.include_dir)
    findings = check_gates(connection, store, sets, rules, exceptions)
    for finding in findings:
        print(f"{finding.severity}, {finding.gate}: {finding}")
    leaks = sum(finding.severity == FAILURE for finding in findings)
    print(f"Leaks: {leaks}. Declared exceptions: {len(exceptions)}.")
    return 1 if leaks else 0


def _accept_history(
    connection: Connection, _: Store, __: Settings, options: argparse.Namespace
) -> int:
    by = options.by or login()
    for accepted in accept_history(connection, options.day, options.reason, by, options.layer):
        print(f"Accepted: {accepted}")
    return 0


def _told(result: Answer | int, options: argparse.Namespace) -> int:
    if isinstance(result, int):
        return result
    if options.json:
        print(as_json(options.command, result.rows, result.error))
    else:
        say(*result.lines)
    if result.error is None:
        return 0
    _complain(result.error)
    return 1


def _fail(error: Exception, code: int, options: argparse.Namespace) -> int:
    if getattr(options, "json", False):
        print(as_json(options.command, [], error))
    _complain(error)
    return code


def _complain(error: Exception) -> None:
    first, *more = f"Error: {bounded(str(error))}".split("\n")
    say(Alarm(first), *more, to=sys.stderr)


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="feature-store",
        description="The feature store of the Airflow connection in FEATURE_STORE_CONN_ID "
        "(default: feature_store), or another.",
    )
    parser.add_argument(
        "--store", type=folder, metavar="FOLDER", help="default: FEATURE_STORE_INCLUDE_DIR"
    )
    parser.add_argument(
        "--connection", type=text, metavar="NAME", help="default: FEATURE_STORE_CONN_ID"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, run: Command, words: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=words, description=words)
        command.set_defaults(run=run)
        command.register("type", None, text)  # for every argument without a type of its own
        return command

    add_init(commands)
    plan = add("plan", _plan, "Show what apply would change. Changes nothing.")
    make = add(
        "apply",
        _apply,
        "Create what is missing, adopt what fits, replace or drop what you name: all or nothing.",
    )
    for command in (plan, make):
        command.add_argument(
            "--replace",
            action="extend",
            nargs="+",
            default=[],
            metavar="NAME",
            help="relations or contract functions to replace with what their files say, "
            "keeping everything that depends on them",
        )
        command.add_argument(
            "--drop",
            action="extend",
            nargs="+",
            default=[],
            metavar="NAME",
            help="relations whose file is gone, to remove from the database",
        )
        offer_stamps(command)
    add_folder_commands(commands)
    add_rehearsal(add)
    add("bootstrap", _bootstrap, "Apply and stamp if there is no store yet; else change nothing.")
    add_reading_commands(add)
    add("check-leaks", _check_leaks, "Look for leaks in the whole store, its labels too.")
    accept = add("accept-history", _accept_history, "Accept that a day of the past has changed.")
    accept.add_argument("--day", type=day, required=True, metavar="YYYY-MM-DD")
    accept.add_argument(
        "--reason", type=reason, required=True, help="why it is accepted; kept forever"
    )
    accept.add_argument("--layer", help="only this layer, as history calls it; default: all")
    accept.add_argument("--by", metavar="NAME", help="who accepts it; default: your login")
    look = add("check-contract", check_contract, "Compare contracts with the database.")
    look.add_argument("sets", nargs="*", metavar="SET", help="only these feature sets")
    add_log_commands(add)
    mark = add("stamp-contract", stamp_contract, "Write a contract and its hash to the database.")
    mark.add_argument("sets", nargs="+", metavar="SET", help="the feature sets to stamp")
    mark.add_argument(
        "--replace",
        action="store_true",
        help="allow rows or proofs that differ from what was stamped before",
    )
    add("stamp-proofs", stamp_the_proofs, "Stamp the proofs as the files are; show what changed.")
    return parser
