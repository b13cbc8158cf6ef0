"""What apply would change, found without changing anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import psycopg
from psycopg import Connection

from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.source_tables import view_sources, views_words
from feature_store.declarations.store_definition import Store
from feature_store.declarations.whole_folder import check_declarations
from feature_store.errors import BadInput, NotReady
from feature_store.relation_name import AUDIT_SCHEMA, LOG_SCHEMA
from feature_store.schema.audit_migrations import Migration, pending_migrations, read_migrations
from feature_store.schema.carried_code import carried_code
from feature_store.schema.object_states import (
    Condition,
    State,
    StoreObject,
    examine,
    store_objects,
)
from feature_store.schema.proof_stamp import UNSTAMPED, unstamped
from feature_store.schema.replacement.dependents import Replacement, plan_replacement
from feature_store.schema.schema_owner import schema_problems
from feature_store.schema.store_record import check_store, record_of, recorded
from feature_store.text_format import bullets


@dataclass(frozen=True)
class Plan:
    """The way from what the database has to what the files say.

    Attributes:
        carried: code of others that a refresh would run; nothing is done while there is some.
        schemas: to create.
        migrations: of the audit schema, to apply.
        creates: objects to create, in order.
        completes: governance files of which parts are missing, or were named to be replaced.
        adopts: objects that were there before us, to be used as they are; of a governance file
            what is missing is created, too.
        replaces: the relations that were named.
        replacement: what replacing them takes; None where none was named.
        comments: objects whose comments to write again.
        reworded: objects whose description by this major version of the server to record.
        blocked: objects that are neither missing, nor as their file, nor adopted, nor named;
            nothing is applied while there is one.
        unsafe: whom our schemas let in, in words with the way out; nothing is applied meanwhile.
        unstamped: proofs that are not as a person stamped them, each with how it differs.
        views_read: the sources that are views.
        in_place: how many objects are as their file.
        adopted: how many were adopted before.
        recorded: whether the record says of the store what ``store.toml`` says.
    """

    carried: tuple[str, ...]
    schemas: tuple[str, ...]
    migrations: tuple[Migration, ...]
    creates: tuple[StoreObject, ...]
    completes: tuple[Condition, ...]
    adopts: tuple[Condition, ...]
    replaces: tuple[StoreObject, ...]
    replacement: Replacement | None
    comments: tuple[StoreObject, ...]
    reworded: tuple[StoreObject, ...]
    blocked: tuple[Condition, ...]
    unsafe: tuple[str, ...]
    unstamped: tuple[str, ...]
    views_read: tuple[str, ...]
    in_place: int
    adopted: int
    recorded: bool

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
            or self.comments
            or self.reworded
            or not self.recorded
        )

    @property
    def problems(self) -> list[str]:
        """What keeps apply from doing anything, each with the way out."""
        refusals = list(self.replacement.refusals if self.replacement else ())
        return [*self.unsafe, *self.carried, *blockages(self), *refusals]

    @property
    def done(self) -> str:  # noqa: D102  # as str, of what was done
        return "\n".join(_parts(self, done=True))

    def __str__(self) -> str:
        return "\n".join(_parts(self, done=False))


def make_plan(
    connection: Connection[Any], store: Store, include_dir: Path, replace: Collection[str] = ()
) -> Plan:
    """Compare the files with the database.

    Args:
        connection: a pinned session.
        store: what the files say.
        include_dir: where they are.
        replace: relations and governance functions that may be replaced, by name.

    Raises:
        BadInput: a file of the folder that cannot be used, be it one that only a run needs, or a
            name that cannot be replaced.
        NotReady: somebody else has taken the audit schema, so that nothing of it can be read; or
            the database has another store.
    """
    check_declarations(include_dir, store)
    unsafe = tuple(schema_problems(connection, store.profile.governed_schemas))
    try:
        migrations = pending_migrations(connection, read_migrations())
        check_store(connection, store.profile)
    except psycopg.errors.InsufficientPrivilege:
        if unsafe:  # whoever took the schema has shut everybody out
            raise NotReady(f"Not safe: {len(unsafe)}", items=unsafe) from None
        raise
    things = store_objects(store, include_dir)
    _check_names(things, replace)
    conditions = examine(connection, things, replace)
    creates = tuple(c.thing for c in conditions if c.state is State.MISSING)
    relations = {c.thing.label: c for c in conditions if c.thing.relation}
    named = [label for label in relations if label in replace]
    _check_states(relations, named)
    in_place = [c for c in conditions if c.state is State.AS_FILE]
    rest = [c for c in conditions if c.thing.label not in named]
    replacement = None
    if named:
        created = [t.label for t in creates if t.relation]
        replacement = plan_replacement(connection, store, named, created)
    return Plan(
        carried=tuple(carried_code(connection, store, read_rules(include_dir), replace)),
        schemas=_missing_schemas(connection, store.profile.governed_schemas),
        migrations=migrations,
        creates=creates,
        completes=tuple(c for c in rest if c.state is State.INCOMPLETE),
        adopts=tuple(c for c in rest if c.state is State.ADOPTABLE),
        replaces=tuple(relations[label].thing for label in named),
        replacement=replacement,
        comments=tuple(c.thing for c in in_place if c.dictionary_differs),
        reworded=tuple(c.thing for c in rest if c.reworded),
        blocked=tuple(c for c in rest if c.state in _WAY_OUT),
        unsafe=unsafe,
        unstamped=unstamped(connection, store, include_dir),
        views_read=tuple(view_sources(connection, store.sources)),
        in_place=len(in_place),
        adopted=sum(c.state is State.ADOPTED for c in rest),
        recorded=recorded(connection) == record_of(store.profile, include_dir),
    )


def blockages(plan: Plan) -> list[str]:
    """Each blocked object with its state, where it differs, and the way out."""
    named = _all_at_once(plan)

    def way_out(condition: Condition) -> str:
        # Apply takes all of them or none, so one command has to name them all.
        if condition.standing:
            at_once = len(named) > 1 and condition.standing.outgrown
            return f"\nAll at once: `{_REPLACE.format(' '.join(named))}`" if at_once else ""
        return f"\nNext: {_WAY_OUT[condition.state].format(' '.join(named))}"

    return [f"{c.thing.label}: {c.state}\n{c.details}{way_out(c)}" for c in plan.blocked]


def _all_at_once(plan: Plan) -> list[str]:
    """What stands in the way and what was named already, by the names that `--replace` takes."""
    names = [thing.label for thing in plan.replaces]
    for condition in (*plan.completes, *plan.adopts, *plan.blocked):
        if condition.standing:
            names += [str(part.name) for part in condition.standing.replace]
            names += condition.standing.outgrown
        elif condition.state in _REPLACEABLE:
            names.append(condition.thing.label)
    return names


_REPLACE = "bin/feature-store apply --replace {0}"
_WAY_OUT = {
    State.FOREIGN: f"`{_REPLACE}` builds ours beside it and swaps them; or rename it yourself.",
    State.FILE_CHANGED: f"`{_REPLACE}` builds it anew beside the old one; or put the file back.",
    State.ALTERED_LIVE: f"undo the change in the database, or `{_REPLACE}`.",
    State.TAKEN: "rename that index yourself, then `bin/feature-store apply`.",
}
_REPLACEABLE = _WAY_OUT.keys() - {State.TAKEN}


def _parts(plan: Plan, *, done: bool) -> Iterator[str]:
    yield from _standing_in_the_way(plan)
    steps = [f"schema {name}" for name in plan.schemas]
    steps += _audit_steps(plan.migrations)
    steps += [] if plan.recorded or plan.migrations else ["what store.toml says, in the record"]
    steps += [thing.label for thing in plan.creates]
    if steps:
        yield f"{'Created' if done else 'To create'}: {len(steps)}\n{bullets(steps)}"
    if plan.completes:
        labels = [_parted(condition) for condition in plan.completes]
        yield f"{'Completed' if done else 'To complete'}: {len(labels)}\n{bullets(labels)}"
    if plan.adopts:
        plain = [c.thing.label for c in plan.adopts if not (c.details or c.standing)]
        told = [_parted(c) for c in plan.adopts if c.details or c.standing]
        told += ["\n".join(wrap(", ".join(plain), 92))] if plain else []
        words = "Adopted as they are" if done else "To adopt as they are, and never alter"
        yield f"{words}: {len(plan.adopts)}\n{bullets(told)}"
    if plan.replacement:
        yield from _replaced(plan.replacement, done=done)
    if plan.comments:
        labels = [thing.label for thing in plan.comments]
        yield f"Comments {'written' if done else 'to write'}: {len(labels)}\n{bullets(labels)}"
    if plan.reworded:
        yield (
            f"Descriptions by this server {'recorded' if done else 'to record'}: "
            f"{len(plan.reworded)}, after its new major "
            "version. Their queries are taken to be what they were."
        )
    if plan.views_read:
        yield views_words(plan.views_read)
    if plan.unstamped:
        yield f"{UNSTAMPED}: {len(plan.unstamped)}\n{bullets(list(plan.unstamped))}"
    yield f"In place, as their file: {plan.in_place}."
    if plan.adopted:
        yield f"In place, adopted as they are: {plan.adopted}."


def _standing_in_the_way(plan: Plan) -> Iterator[str]:
    if plan.unsafe:
        yield f"Not safe: {len(plan.unsafe)}\n{bullets(list(plan.unsafe))}"
    if plan.carried:
        yield f"What no run would read: {len(plan.carried)}\n{bullets(list(plan.carried))}"
    if plan.blocked:
        yield f"Blocked: {len(plan.blocked)} not as their file.\n{bullets(blockages(plan))}"
    if plan.replacement and plan.replacement.refusals:
        refusals = plan.replacement.refusals
        yield f"Cannot be kept: {len(refusals)}\n{bullets(list(refusals))}"


def _audit_steps(migrations: tuple[Migration, ...]) -> list[str]:
    """What happens to the audit schema; of a new one, nobody cares how it came about."""
    if migrations and migrations[0].version == 1:
        return [f"audit schema, steps 1 to {migrations[-1].version}"]
    return [f"audit schema, step {m.version}: {m.name}" for m in migrations]


def _replaced(replacement: Replacement, *, done: bool) -> Iterator[str]:
    words = "Replaced" if done else "To replace"
    yield f"{words}, as named: {len(replacement.named)}\n{bullets(list(replacement.named))}"
    if replacement.along:
        words = f"{'Built' if done else 'To build'} anew with them, unchanged"
        yield f"{words}: {len(replacement.along)}\n{bullets(list(replacement.along))}"
    if replacement.views:
        names = [str(view.name) for view in replacement.views]
        words = f"Views of yours {'bound' if done else 'to bind'} to the new ones"
        yield f"{words}: {len(names)}\n{bullets(names)}"


def _parted(condition: Condition) -> str:
    words = [condition.thing.label]
    if condition.details:
        words.append(condition.details)
    if condition.standing:
        words += [f"creates {part.name}" for part in condition.standing.create]
        words += [f"replaces {part.name}" for part in condition.standing.replace]
        words += [f"keeps your {kept}" for kept in condition.standing.kept]
    return "\n".join(words)


def _check_names(things: tuple[StoreObject, ...], replace: Collection[str]) -> None:
    parts = [str(p.name) for t in things if t.governance for p in t.governance.parts]
    known = [t.label for t in things if t.relation] + parts
    if unknown := sorted(set(replace) - set(known)):
        raise BadInput(
            f"{unknown[0]!r} is nothing that could be replaced.",
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


def _missing_schemas(connection: Connection[Any], governed: Collection[str]) -> tuple[str, ...]:
    schemas = (*governed, AUDIT_SCHEMA, LOG_SCHEMA)
    existing = {
        name
        for (name,) in connection.execute(
            "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname = ANY(%s)",
            (list(schemas),),
        )
    }
    return tuple(s for s in schemas if s not in existing)
