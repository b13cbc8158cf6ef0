"""The commands for feature logs: skew, served, erase and seal-log."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import psycopg

from feature_store.cli.answer import Answer
from feature_store.cli.arguments import entity, find_set, login, offer_json, reason
from feature_store.cli.terminal import Heading
from feature_store.connection import Connection
from feature_store.declarations.declared_exceptions import read_exceptions
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.store_definition import Store
from feature_store.errors import BadInput, NotReady
from feature_store.reporting.served import (
    latest_skew,
    logged_in_words,
    read_entity,
    served_beside_today,
    skew_in_words,
    with_skew,
)
from feature_store.schema.feature_logs.feature_log import require_logs
from feature_store.settings import Settings
from feature_store.text_format import bullets, plural

Add = Callable[..., argparse.ArgumentParser]


def add_log_commands(add: Add) -> None:
    """Add them to the command line."""
    skew = add("skew", _skew, "Show how much today's features differ from what was served.")
    skew.add_argument("sets", nargs="*", metavar="SET", help="only these feature sets")
    served = add("served", _served, "Show one entity's features, as served and today.")
    served.add_argument("sets", nargs=1, metavar="SET")
    served.add_argument(
        "entity",
        metavar="ENTITY",
        type=entity,
        help="its value in the column that the contract calls entity",
    )
    for command in (skew, served):
        offer_json(command)
    erase = add("erase", _erase, "Delete an entity from every feature log, as a law may require.")
    erase.add_argument(
        "entity", metavar="ENTITY", help="its value in the column that the contract calls entity"
    )
    seal = add("seal-log", _seal, "Seal a feature log that was altered as it is now.")
    seal.add_argument("sets", nargs=1, metavar="SET")
    for command in (erase, seal):
        command.add_argument("--reason", type=reason, required=True, help="why; kept forever")
        command.add_argument("--by", metavar="NAME", help="who does it; default: your login")


def logs_and_exceptions(connection: Connection, settings: Settings) -> list[str]:
    """The part of ``status`` about feature logs and declared exceptions."""
    skew = latest_skew(connection)
    exceptions = read_exceptions(settings.include_dir)
    return [
        Heading("\nFeature logs (what was served):"),
        bullets(logged_in_words(connection)) or "  none: no stamped feature set has one",
        Heading("\nDeclared exceptions (features that see more than was known at t0):"),
        bullets([with_skew(exception, skew) for exception in exceptions]),
    ]


def _skew(connection: Connection, _: Store, __: Settings, options: argparse.Namespace) -> Answer:
    require_logs(connection)
    lines = [
        line
        for line in latest_skew(connection)
        if not options.sets or line.feature_set in options.sets
    ]
    rows = [vars(line) | {"share": line.share} for line in lines]
    return Answer([skew_in_words(lines)], rows)


def _served(
    connection: Connection, _: Store, settings: Settings, options: argparse.Namespace
) -> Answer:
    require_logs(connection)
    feature_set = _logged(settings, options.sets[0])
    found = read_entity(connection, feature_set, options.entity)
    return Answer([served_beside_today(found)], found.rows)


def _erase(connection: Connection, _: Store, __: Settings, options: argparse.Namespace) -> int:
    require_logs(connection)
    by = options.by or login()
    erased = 0
    with connection.transaction():  # out of all logs or of none
        for (name,) in connection.execute(
            "SELECT l.feature_set FROM feature_store_audit.feature_log AS l ORDER BY l.feature_set"
        ).fetchall():
            erased += _act(
                connection,
                "SELECT feature_store_audit.erase_logged(%s, %s, %s, %s)",
                (name, options.entity, by, options.reason),
                "Delete it from the sources, wait for a run to certify the store, then erase it.",
            )[0][0]
    if not erased:
        raise BadInput(f"No feature log has {options.entity}.", readers="nothing was changed.")
    print(f"Erased: {plural(erased, 'row')}. Old reports and mails may still show it.")
    return 0


def _seal(connection: Connection, _: Store, settings: Settings, options: argparse.Namespace) -> int:
    require_logs(connection)
    feature_set = _logged(settings, options.sets[0])
    with connection.transaction():
        sealed = _act(
            connection,
            "SELECT * FROM feature_store_audit.seal_anew(%s, %s, %s)",
            (feature_set.name, options.by or login(), options.reason),
            "Look at the log, then seal it again.",
        )
    for (words,) in sealed:
        print(f"Sealed: {words}")
    if not sealed:
        print("Nothing to seal: the log is as it was sealed.")
    return 0


def _act(connection: Connection, query: str, values: tuple[Any, ...], next_step: str) -> list[Any]:
    try:
        return connection.execute(query.encode(), values).fetchall()
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        words = f"{error.diag.message_primary}."
        raise NotReady(
            words,
            readers="nothing was changed.",
            # A log that is not as it was sealed already says what to do.
            next_step=None if "seal-log" in words else next_step,
        ) from error


def _logged(settings: Settings, name: str) -> FeatureSet:
    feature_set = find_set(settings, name)
    if feature_set.served is None:
        raise BadInput(
            f"{name} has no feature log.",
            next_step=f"Name entity and t0 in {feature_set.path}, then stamp it.",
        )
    return feature_set
