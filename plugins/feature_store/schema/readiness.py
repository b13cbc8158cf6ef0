"""Whether a refresh can start. Changes nothing in the store."""

from __future__ import annotations

import logging
from collections.abc import Collection

from psycopg import sql

from feature_store.connection import Connection, one_value
from feature_store.database.guard_problems import guard_problems
from feature_store.database.read_locks import lock_problems
from feature_store.database.session import SUPPORTED_SERVERS, server_major
from feature_store.declarations.feature_sets import FeatureSet, read_feature_sets
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.store_definition import Store
from feature_store.declarations.store_profile import StoreProfile
from feature_store.errors import NotReady
from feature_store.proof.adopted_columns import unproven_columns
from feature_store.proof.fit import specification_problems
from feature_store.relation_name import Name
from feature_store.schema.feature_logs.feature_log import log_problems
from feature_store.schema.planning.plan import make_plan
from feature_store.schema.planning.plan_words import (
    blockages,
    gone_suites,
    in_the_record,
    without_file_words,
)
from feature_store.schema.privileges.audit_privileges import access_problems
from feature_store.schema.privileges.foreign_code import carried_code
from feature_store.schema.privileges.privileges import contract_problems, refresh_problems
from feature_store.schema.source_problems import source_problems, view_sources, views_words
from feature_store.schema.stamps.proof_stamp import refuse_changed
from feature_store.settings import Settings

log = logging.getLogger(__name__)

_SEE_PLAN = "Fix the above, see by `bin/feature-store plan` what is left, then run again."
# Of what `plan` does not look at: it would say that all is well.
_FIX = (
    "Fix the above (`bin/feature-store grants` has every privilege that a run needs), then run "
    "again."
)
# To salvage a damaged table; only a superuser can set them.
_DAMAGE_UNSEEN = ("zero_damaged_pages", "ignore_checksum_failure")


def check_ready(connection: Connection, store: Store, settings: Settings) -> None:
    """Check server, sources, definitions and privileges before any work.

    Args:
        connection: a pinned session in autocommit mode, as the role that will refresh.
        store: what the files say.
        settings: where the files are.

    Raises:
        NotReady: something must be fixed first; the message names it all, and what to do.
        BadInput: a file that cannot be used.
        ProofsChanged: proofs are not as a person stamped them, so that no run is certified.
    """
    _refuse(server_problems(connection))
    check_access(connection, store.profile)
    of_plan = [
        *source_problems(connection, store.sources),
        *_definition_problems(connection, store, settings),
    ]
    _refuse(of_plan, _SEE_PLAN)
    problems = [
        *refresh_problems(connection, store),
        *contract_problems(connection, store.profile.governed_schemas),
    ]
    feature_sets = read_feature_sets(settings.include_dir)
    problems = problems or log_problems(connection, feature_sets)
    problems = problems or lock_problems(connection, store)
    problems = problems or specification_problems(connection, store)
    problems = problems or unproven_columns(connection, store, feature_sets)
    # Sources are read only now: no foreign code would run, and every grant is there.
    _refuse(problems or guard_problems(connection, store.source_guards))
    refuse_changed(connection, store, settings.include_dir)
    if views := view_sources(connection, store.sources):
        log.info("%s", views_words(views))


def check_access(connection: Connection, profile: StoreProfile) -> None:
    """Check that the session's role may read the store at all. Needs no privileges itself.

    Raises:
        NotReady: it may not; the message names every GRANT that is missing.
    """
    _refuse(access_problems(connection, profile.governed_schemas))


def check_logs(connection: Connection, feature_sets: Collection[FeatureSet]) -> None:
    """Check before a verdict that logs and training views are still as `prepare` found them.

    Somebody may have replaced a training view before the suites recorded its query.

    Raises:
        NotReady: one is not as a stamp makes it; the message names it, and what to do.
    """
    if problems := log_problems(connection, feature_sets):
        raise NotReady(
            "This run cannot certify the store:",
            items=problems,
            readers="the rows that the views have now; require_certified refuses rows not proven "
            "yet.",
            next_step="Do what is said above, then trigger a new run of the DAG.",
        )


def check_code(
    connection: Connection, store: Store, settings: Settings, only: Name | None = None
) -> None:
    """Check that reading the store runs no foreign code: a task may run long after `prepare`.

    Args:
        connection: a pinned session, as the role that will read.
        store: what the files say.
        settings: where the files are.
        only: the relation that will be read; None: all.

    Raises:
        NotReady: it would run some; the message names it.
    """
    rules = read_rules(settings.include_dir)
    _refuse(carried_code(connection, store, rules, only=[only] if only else None), _SEE_PLAN)


def _refuse(problems: list[str], next_step: str = _FIX) -> None:
    if problems:
        raise NotReady(
            "The store cannot be refreshed:",
            items=problems,
            readers="the rows of the last refresh; nothing was changed.",
            next_step=next_step,
        )


def server_problems(connection: Connection) -> list[str]:
    """Say if a store cannot work on the server's version or settings, or in the database."""
    problems = []
    oldest, newest = SUPPORTED_SERVERS
    major = server_major(connection)
    if not oldest <= major <= newest:
        problems.append(f"The server is PostgreSQL {major}; expected {oldest} to {newest}.")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        why = "counts bytes, not letters, in texts" if encoding == "SQL_ASCII" else "lacks letters"
        problems.append(
            f"The database's encoding is {encoding}, which {why}; expected UTF8.\n"
            "Next: restore a dump of it into one with the encoding UTF8"
        )
    problems += (
        f"{setting} is on: rows of damaged pages are missing or wrong, and every check sees the "
        f"same.\nNext: turn {setting} off where it is set (the server's configuration, ALTER "
        "DATABASE or ALTER ROLE … RESET), and restore what is damaged"
        for setting in _DAMAGE_UNSEEN
        if one_value(connection, "SELECT pg_catalog.current_setting(%s)", (setting,)) == "on"
    )
    problems += _collation_problems(connection)
    return problems


def _collation_problems(connection: Connection) -> list[str]:
    """Indexes of texts are in the order of the library that the server had when it built them.

    If another version of the library orders texts otherwise, a look-up misses rows, and every query
    that uses the index misses the same ones.
    """
    rows = connection.execute(
        """
        SELECT
            d.datname,
            d.datcollversion,
            pg_catalog.pg_database_collation_actual_version(d.oid)
        FROM pg_catalog.pg_database AS d
        WHERE
            d.datname = pg_catalog.current_database()
            AND d.datcollversion <> pg_catalog.pg_database_collation_actual_version(d.oid)
        """
    ).fetchall()
    mend = "REINDEX DATABASE {0}; ALTER DATABASE {0} REFRESH COLLATION VERSION"
    return [
        f"The database was made with version {then} of its collation; the server has {now} now. "
        "Its indexes of texts may miss rows, and every check with them.\n"
        f"Next: {sql.SQL(mend).format(sql.Identifier(name)).as_string()}"
        for name, then, now in rows
    ]


def _definition_problems(connection: Connection, store: Store, settings: Settings) -> list[str]:
    plan = make_plan(connection, store, settings.include_dir)
    if words := without_file_words(plan.without_file):
        log.warning("%s", words)
    problems = [*plan.unsafe, *plan.carried, *blockages(plan), *gone_suites(plan)]
    missing = [f"schema {name}" for name in plan.schemas]
    if steps := [m.version for m in plan.migrations]:
        some = f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"
        missing.append(f"{some} of the audit schema")
    missing += in_the_record(plan)
    missing += [thing.label for thing in plan.creates]
    for words, waiting in (("Not adopted yet", plan.adopts), ("Not complete", plan.completes)):
        if waiting:
            labels = ", ".join(condition.thing.label for condition in waiting)
            problems.append(f"{words}: {labels}.\nNext: bin/feature-store apply")
    if missing:
        problems.append(f"Missing: {', '.join(missing)}.\nNext: bin/feature-store apply")
    return problems
