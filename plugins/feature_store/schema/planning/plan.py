"""What apply would change, found without changing anything."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import psycopg

from feature_store.connection import Connection
from feature_store.declarations.feature_sets import read_feature_sets
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.store_definition import Store
from feature_store.declarations.whole_folder import check_declarations
from feature_store.errors import BadInput, NotReady
from feature_store.relation_name import AUDIT_SCHEMA, LOG_SCHEMA
from feature_store.schema.audit_migrations import Migration, pending_migrations, read_migrations
from feature_store.schema.feature_logs.feature_log import has_logs, log_problems
from feature_store.schema.object_states import (
    Condition,
    State,
    StoreObject,
    examine,
)
from feature_store.schema.planning.contract_effects import ContractEffect, contract_effects
from feature_store.schema.planning.open_reviews import reviews_on
from feature_store.schema.planning.plan_words import WAY_OUT, blockages, in_parts
from feature_store.schema.planning.removal import Removal, plan_removal
from feature_store.schema.planning.without_file import WithoutFile, without_file
from feature_store.schema.privileges.foreign_code import carried_code
from feature_store.schema.privileges.schema_owner import schema_problems
from feature_store.schema.replacement.dependents import Replacement, plan_replacement
from feature_store.schema.source_problems import view_sources
from feature_store.schema.stamps.proof_stamp import unstamped
from feature_store.schema.store_objects import store_objects
from feature_store.schema.store_record import check_store, record_of, recorded, suite_changes


@dataclass(frozen=True)
class Plan:
    """The way from what the database has to what the files say.

    Attributes:
        carried: code of others that a refresh would run; nothing is done while there is some.
        schemas: to create.
        migrations: of the audit schema, to apply.
        creates: objects to create, in order.
        completes: governance files with missing parts, or parts named to be replaced.
        adopts: objects that apply did not create, to be used as they are; missing parts of a
            governance file are created.
        replaces: the relations that were named.
        replacement: what replacing them requires; None if none was named.
        contracts: what happens to stamped feature sets.
        reviews: reviews that the next run would close without an answer: definitions change.
        comments: objects whose comments to write again.
        reworded: objects whose description by this major version of the server to record.
        blocked: objects that are neither missing, nor as their file, nor adopted, nor named;
            nothing is applied while there is one.
        unsafe: who else may use the store's schemas, in words, with what to do; nothing is applied
            while there is one.
        without_file: relations that apply created and that no longer have a file.
        removal: what dropping the named ones requires; None if none was named.
        unstamped: proofs that are not as a person stamped them, each with how it differs.
        logs: what is wrong with feature logs and training views, with what to do.
        views_read: the sources that are views.
        in_place: how many objects are as their file.
        adopted: how many were adopted before.
        recorded: whether the record agrees with ``store.toml``.
        suites: of the folder, that certification does not require yet.
        suites_gone: that certification requires, and the folder does not have.
    """

    carried: tuple[str, ...]
    schemas: tuple[str, ...]
    migrations: tuple[Migration, ...]
    creates: tuple[StoreObject, ...]
    completes: tuple[Condition, ...]
    adopts: tuple[Condition, ...]
    replaces: tuple[StoreObject, ...]
    replacement: Replacement | None
    contracts: tuple[ContractEffect, ...]
    reviews: tuple[str, ...]
    comments: tuple[StoreObject, ...]
    reworded: tuple[StoreObject, ...]
    blocked: tuple[Condition, ...]
    unsafe: tuple[str, ...]
    without_file: tuple[WithoutFile, ...]
    removal: Removal | None
    unstamped: tuple[str, ...]
    logs: tuple[str, ...]
    views_read: tuple[str, ...]
    in_place: int
    adopted: int
    recorded: bool
    suites: tuple[str, ...]
    suites_gone: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (
            self.schemas
            or self.migrations
            or self.creates
            or self.completes
            or self.adopts
            or self.replacement
            or self.removal
            or self.comments
            or self.reworded
            or not self.recorded
            or self.suites
        )

    @property
    def problems(self) -> list[str]:
        """What keeps apply from doing anything, each with what to do."""
        refusals = [*(self.replacement.refusals if self.replacement else ())]
        refusals += self.removal.refusals if self.removal else ()
        refusals += [str(effect) for effect in self.contracts if effect.refused]
        return [*self.unsafe, *self.carried, *blockages(self), *refusals]

    @property
    def done(self) -> str:  # noqa: D102  # as str, of what was done
        return in_parts(self, done=True)

    def __str__(self) -> str:
        return in_parts(self, done=False)


def make_plan(
    connection: Connection,
    store: Store,
    include_dir: Path,
    replace: Collection[str] = (),
    drop: Collection[str] = (),
    stamps: Collection[str] = (),
) -> Plan:
    """Compare the files with the database.

    Args:
        connection: a pinned session.
        store: what the files say.
        include_dir: where they are.
        replace: relations and governance functions that may be replaced, by name.
        drop: relations without a file to drop, by name.
        stamps: feature sets that are stamped with it, by name.

    Raises:
        BadInput: a file of the folder cannot be used, even if only a run needs it; or a name cannot
            be replaced or dropped.
        NotReady: somebody else owns the audit schema, so it cannot be read; or the database has
            another store.
    """
    check_declarations(include_dir, store)
    unsafe = tuple(schema_problems(connection, store.profile.governed_schemas))
    try:
        migrations = pending_migrations(connection, read_migrations())
        check_store(connection, store.profile)
    except psycopg.errors.InsufficientPrivilege:
        if unsafe:  # its new owner has revoked everybody's access
            raise NotReady(f"Not safe: {len(unsafe)}", items=unsafe) from None
        raise
    things = store_objects(store, include_dir)
    _check_names(things, replace)
    sources = [str(source.name) for source in store.sources]
    orphans = without_file(connection, [thing.label for thing in things], sources)
    dropped = [str(one.name) for one in orphans if one.dropped and str(one.name) in drop]
    conditions = examine(connection, things, replace, dropped)
    creates = tuple(c.thing for c in conditions if c.state is State.MISSING)
    relations = {c.thing.label: c for c in conditions if c.thing.relation}
    named = [label for label in relations if label in replace]
    _check_states(relations, named)
    in_place = [c for c in conditions if c.state is State.AS_FILE]
    rest = [c for c in conditions if c.thing.label not in named]
    adopts = tuple(c for c in rest if c.state is State.ADOPTABLE)
    replacement = None
    if named:
        created = [t.label for t in creates if t.relation]
        replacement = plan_replacement(connection, store, named, created)
    suites, suites_gone = suite_changes(connection, include_dir)
    carried = tuple(carried_code(connection, store, read_rules(include_dir), replace))
    # Reading others' tables, or building others' indexes in a trial, could run code of theirs with
    # the rights of whoever plans. Nothing can be applied then, so there is nothing to find out.
    contracts: tuple[ContractEffect, ...] = ()
    if not (unsafe or carried):
        contracts = contract_effects(connection, include_dir, replacement, stamps)
    removal = None
    if not unsafe:  # it reads the tables of contracts, too
        removal = plan_removal(connection, store, include_dir, orphans, drop, named)
    told = {*stamps, *(effect.name for effect in contracts)}
    return Plan(
        carried=carried,
        schemas=_missing_schemas(connection, store.profile.governed_schemas),
        migrations=migrations,
        creates=creates,
        completes=tuple(c for c in rest if c.state is State.INCOMPLETE),
        adopts=adopts,
        replaces=tuple(relations[label].thing for label in named),
        replacement=replacement,
        contracts=contracts,
        reviews=reviews_on(connection, [*named, *(c.thing.label for c in adopts)]),
        comments=tuple(c.thing for c in in_place if c.dictionary_differs),
        reworded=tuple(c.thing for c in rest if c.reworded),
        blocked=tuple(c for c in rest if c.state in WAY_OUT),
        unsafe=unsafe,
        without_file=orphans,
        removal=removal,
        unstamped=unstamped(connection, store, include_dir),
        logs=() if unsafe else _logs(connection, include_dir, told),
        views_read=tuple(view_sources(connection, store.sources)),
        in_place=len(in_place),
        adopted=sum(c.state is State.ADOPTED for c in rest),
        recorded=recorded(connection) == record_of(store.profile, include_dir),
        suites=suites,
        suites_gone=suites_gone,
    )


def _logs(connection: Connection, include_dir: Path, told: Collection[str]) -> tuple[str, ...]:
    """What is wrong with the logs, besides those of sets that a plan stamps or tells to stamp."""
    if not has_logs(connection):
        return ()
    sets = [one for one in read_feature_sets(include_dir) if one.name not in told]
    try:
        with connection.transaction():
            return tuple(log_problems(connection, sets, strict=True))
    except psycopg.errors.InsufficientPrivilege:
        return ()  # a run names what its role may not read


def _check_names(things: tuple[StoreObject, ...], replace: Collection[str]) -> None:
    parts = [str(p.name) for t in things if t.governance for p in t.governance.parts]
    known = [t.label for t in things if t.relation] + parts
    if unknown := sorted(set(replace) - set(known)):
        raise BadInput(
            f"{unknown[0]!r} is not something that can be replaced.",
            next_step=f"Use one of {', '.join(known)}.",
        )


def _check_states(relations: dict[str, Condition], named: list[str]) -> None:
    for label in named:
        state = relations[label].state
        if state in (State.MISSING, State.TAKEN):
            raise BadInput(
                f"{label} is missing, so there is nothing to replace.",
                next_step="Apply without naming it.",
            )


def _missing_schemas(connection: Connection, governed: Collection[str]) -> tuple[str, ...]:
    schemas = (*governed, AUDIT_SCHEMA, LOG_SCHEMA)
    existing = {
        name
        for (name,) in connection.execute(
            "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname = ANY(%s)",
            (list(schemas),),
        )
    }
    return tuple(s for s in schemas if s not in existing)
