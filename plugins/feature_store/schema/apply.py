"""Makes the database agree with the files, in one transaction.

It alters nothing that it did not create, and replaces nothing that was not named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager, suppress
from datetime import timedelta

import psycopg
from psycopg import sql

from feature_store.audit.lease import lock_free_lease
from feature_store.connection import Connection, one_value
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.store_definition import Store
from feature_store.errors import LeaseTaken, NotReady
from feature_store.relation_name import AUDIT_SCHEMA
from feature_store.schema.applied_definitions import (
    hand_down_words,
    record,
    record_rebuilt,
    record_wording,
    words_of_files,
    write_words,
)
from feature_store.schema.audit_migrations import migrate
from feature_store.schema.governance.live_function import replace_code
from feature_store.schema.governance.registry import join_registry
from feature_store.schema.object_states import (
    Condition,
    State,
    StoreObject,
    has_audit,
)
from feature_store.schema.planning.plan import Plan, make_plan
from feature_store.schema.planning.removal import free_names, remove
from feature_store.schema.privileges.foreign_code import query_code
from feature_store.schema.privileges.schema_owner import (
    as_the_owner,
    how_to_own,
    schema_problems,
    store_owner,
)
from feature_store.schema.readiness import server_problems
from feature_store.schema.replacement.build_beside import build, fill, naming
from feature_store.schema.replacement.dependents import Replacement
from feature_store.schema.replacement.swap import swap
from feature_store.schema.source_problems import source_problems
from feature_store.schema.stamps.proof_stamp import stamp_first, stamp_sets
from feature_store.schema.store_objects import store_objects
from feature_store.schema.store_record import record_of, record_store, require_suites
from feature_store.settings import Settings

# How many lock timeouts to wait for readers of what is to be swapped.
_PATIENCE = 12
_TAKEN = (
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateFunction,
    psycopg.errors.DuplicateObject,
    psycopg.errors.DuplicateSchema,
)
# What `apply` tells in words of its own.
_TOLD = (
    *_TAKEN,
    psycopg.errors.DependentObjectsStillExist,
    psycopg.errors.InsufficientPrivilege,
)
_FIRST_TABLE = f"{AUDIT_SCHEMA}.migration"


def apply(
    connection: Connection,
    store: Store,
    settings: Settings,
    replace: Collection[str] = (),
    stamps: Collection[FeatureSet] = (),
    drop: Collection[str] = (),
) -> Plan:
    """Create what is missing, adopt what fits, replace what was named, write changed comments.

    New relations are created empty; one that replaces a filled relation is filled first. New
    objects belong to the store's owner, or before there is one, to the session's role. The proofs
    are stamped together with feature sets, and also if those were stamped before there was an
    inventory. The plan takes effect as a whole or not at all. Nobody else can take the lease
    meanwhile.

    Args:
        connection: a pinned session in autocommit mode.
        store: what the files say.
        settings: where the files are, and how long a silent lease counts.
        replace: relations and governance functions to replace, by name.
        stamps: feature sets to stamp again, so that columns and stamp change together.
        drop: relations without a file to drop, by name.

    Returns:
        What was done.

    Raises:
        BadInput: a name that cannot be replaced, or dropped.
        ContractBroken: a live relation does not fit a set that was to be stamped.
        NotReady: the sources or the server cannot be used, something differs from its file and is
            not named, something that depends on a named relation cannot be kept, or a stamped
            feature set would break and is not stamped again.
        LeaseTaken: a run, or another apply, is working on the store.
    """
    try:
        with connection.transaction():
            sets = [one.name for one in stamps]
            plan = _apply_in_transaction(connection, store, settings, replace, drop, sets)
            if stamps:
                stamp_sets(connection, store, settings.include_dir, stamps, replace=True)
            else:
                stamp_first(connection, store, settings.include_dir)
            return plan
    except _TAKEN as error:
        raise NotReady(
            f"Nothing was applied: {error.diag.message_primary}, and apply did not create it.",
            readers="what they had before.",
            next_step="Rename or drop it yourself: apply never changes what it did not create.",
        ) from error
    except psycopg.errors.DependentObjectsStillExist as error:
        raise NotReady(
            f"Nothing was applied: {error.diag.message_primary}: {error.diag.message_detail}.",
            readers="what they had before.",
            next_step="Drop your object, apply, then create it again.",
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotReady(
            f"Nothing was applied: {error.diag.message_primary}.",
            readers="what they had before.",
            next_step=_who_may(connection),
        ) from error


def _apply_in_transaction(
    connection: Connection,
    store: Store,
    settings: Settings,
    replace: Collection[str],
    drop: Collection[str],
    sets: Collection[str],
) -> Plan:
    _refuse(schema_problems(connection, store.profile.governed_schemas))
    _wait_for_other_applies(connection)
    if replace and has_audit(connection):
        # Planning it builds it once, where a rehearsal may be building.
        _lock_lease(connection, settings)
    plan = make_plan(connection, store, settings.include_dir, replace, drop, sets)
    problems = server_problems(connection) or source_problems(connection, store.sources)
    problems += plan.problems
    _refuse(problems)
    if plan.empty:
        return plan
    if has_audit(connection):
        _lock_lease(connection, settings)
    _carry_out(connection, plan, store, settings)
    made = [t.relation.name for t in (*plan.creates, *plan.replaces) if t.relation]
    _refuse(query_code(connection, read_rules(settings.include_dir), made))
    return plan


def _lock_lease(connection: Connection, settings: Settings) -> None:
    # A command line cannot ask Airflow whether the holder's run is over.
    lock_free_lease(connection, lambda _: None, timedelta(seconds=settings.lease_grace))


def _who_may(connection: Connection) -> str:
    """Who can apply, for somebody who may not."""
    owner = store_owner(connection)
    if owner and not one_value(connection, "SELECT pg_has_role(%s::regrole, 'USAGE')", (owner,)):
        return f"Apply as {owner}, the owner of this store."
    return "Apply as a role that may create here; `bin/feature-store grants` prints SQL for one."


def _refuse(problems: list[str]) -> None:
    if problems:
        raise NotReady("Nothing was applied:", items=problems, readers="what they had before.")


def _wait_for_other_applies(connection: Connection) -> None:
    """Wait for a lock that only the owner can hold, so that nobody else can block apply."""
    try:
        if has_audit(connection):
            connection.execute(
                "LOCK TABLE feature_store_audit.migration IN SHARE ROW EXCLUSIVE MODE"
            )
        else:
            _wait_for_another_first_apply(connection)
    except psycopg.errors.LockNotAvailable:
        raise LeaseTaken(
            "Another apply is at work in this database.", next_step="Apply again when it is done."
        ) from None


def _wait_for_another_first_apply(connection: Connection) -> None:
    # There is no table to lock yet. Two sessions that create the same table wait for each other,
    # even if the first drops it in the same transaction.
    none_yet = one_value(connection, "SELECT to_regnamespace(%s) IS NULL", (AUDIT_SCHEMA,))
    kind, name = ("SCHEMA", AUDIT_SCHEMA) if none_yet else ("TABLE", _FIRST_TABLE)
    with (
        suppress(
            psycopg.errors.UniqueViolation,  # the other session has created it meanwhile
            psycopg.errors.DuplicateTable,
            psycopg.errors.DuplicateSchema,
            psycopg.errors.InsufficientPrivilege,  # reported later, with what cannot be created
        ),
        connection.transaction(),
    ):
        connection.execute(f"CREATE {kind} {name}{' ()' if kind == 'TABLE' else ''}".encode())
        connection.execute(f"DROP {kind} {name}".encode())


def _carry_out(connection: Connection, plan: Plan, store: Store, settings: Settings) -> None:
    with as_the_owner(connection):
        for schema in plan.schemas:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    if plan.removal:
        free_names(connection, plan.removal)
    beside = set()
    if plan.replacement:
        beside = {str(one.name) for one in plan.replacement.rebuilt}
    created = [thing for thing in plan.creates if thing.label not in beside]
    with as_the_owner(connection):
        is_first = not has_audit(connection)
        migrate(connection, plan.migrations)
        record_store(connection, record_of(store.profile, settings.include_dir))
        require_suites(connection, settings.include_dir, is_first=is_first)
        written = words_of_files(connection)
        for condition in (*plan.completes, *plan.adopts):
            _complete(connection, condition)
        for thing in created:
            with _telling(thing, "created"):
                _run(connection, thing.create)
    if plan.replacement:  # what is rebuilt keeps its owner
        _replace(connection, plan.replacement, settings, written)
    if plan.removal:
        remove(connection, plan.removal)
    _record(connection, plan, created)
    along = plan.replacement.along if plan.replacement else ()
    for thing in store_objects(store, settings.include_dir):
        if thing.label in along:
            record_rebuilt(connection, thing)
    hand_down_words(connection, store, written)


def _record(connection: Connection, plan: Plan, created: list[StoreObject]) -> None:
    for thing in (*plan.creates, *plan.replaces):
        record(connection, thing)
    for thing in (*created, *plan.comments):
        with _telling(thing, "described"):
            write_words(connection, thing)
    for thing in plan.reworded:
        record_wording(connection, thing)


def _replace(
    connection: Connection, replacement: Replacement, settings: Settings, written: str
) -> None:
    kept = build(connection, replacement, written)
    patience = settings.lock_timeout * _PATIENCE
    swap(connection, replacement, kept, patience, rehearsal=True)
    fill(connection, replacement)
    swap(connection, replacement, kept, patience, rehearsal=False)


def _telling(thing: StoreObject, what: str) -> AbstractContextManager[None]:
    """Tell a mistake in an object's SQL with its file."""
    mend = f"Correct {thing.relation.file.path}, then apply again." if thing.relation else None
    return naming(f"{thing.label} cannot be {what}", mend=mend, besides=_TOLD)


def _complete(connection: Connection, condition: Condition) -> None:
    parts, governance = condition.difference, condition.thing.governance
    for part in parts.create if parts else ():
        _run(connection, (*part.statements, *part.comments))
    replaced = parts.replace if parts else ()
    owned = {p.name: how_to_own(connection, p.name, p.arguments) for p in replaced}
    if governance and governance.shows and replaced:
        with naming(
            f"{condition.thing.label} cannot be made a view of the one in {governance.registry}",
            mend=next(filter(None, owned.values()), None),
        ):
            join_registry(connection, governance.parts, governance.registry)
    for part in replaced:
        if part.is_table:
            continue
        with naming(f"{part.name} cannot be replaced", mend=owned[part.name]):
            replace_code(connection, part.name, part.arguments, part.create)
            _run(connection, (*part.closed, *part.comments))
    record(connection, condition.thing, adopted=condition.state is State.ADOPTABLE)


def _run(connection: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.execute(statement.encode())
