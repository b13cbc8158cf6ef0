"""What apply would change, found without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection

from feature_store.migrations import Migration, pending_migrations, read_migrations
from feature_store.objects import (
    AUDIT_SCHEMA,
    GOVERNED_SCHEMAS,
    Condition,
    State,
    StoreObject,
    examine,
    store_objects,
)
from feature_store.store import Store
from feature_store.wording import bullets


@dataclass(frozen=True)
class Plan:
    """The way from what the database has to what the files say.

    Attributes:
        schemas: to create.
        migrations: of the audit schema, to apply.
        creates: objects to create, in order.
        comments: objects whose comments to write again.
        blocked: objects that are neither missing nor as their file; nothing is applied while there
            is one.
        in_place: how many objects are as their file.
    """

    schemas: tuple[str, ...]
    migrations: tuple[Migration, ...]
    creates: tuple[StoreObject, ...]
    comments: tuple[StoreObject, ...]
    blocked: tuple[Condition, ...]
    in_place: int

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.schemas or self.migrations or self.creates or self.comments)

    def __str__(self) -> str:
        parts = []
        if self.blocked:
            parts.append(
                f"Blocked: {len(self.blocked)} not as their file.\n{bullets(blockages(self))}"
            )
        steps = [f"schema {name}" for name in self.schemas]
        steps += [f"audit schema, step {m.version}: {m.name}" for m in self.migrations]
        steps += [thing.label for thing in self.creates]
        if steps:
            parts.append(f"To create: {len(steps)}\n{bullets(steps)}")
        if self.comments:
            labels = [thing.label for thing in self.comments]
            parts.append(f"Comments to write: {len(labels)}\n{bullets(labels)}")
        parts.append(f"In place, as their file: {self.in_place}.")
        return "\n".join(parts)


def make_plan(connection: Connection[Any], store: Store, include_dir: Path) -> Plan:
    """Compare the files with the database.

    Raises:
        BadInput: a file that cannot be used.
    """
    migrations = pending_migrations(connection, read_migrations(include_dir))
    conditions = examine(connection, store_objects(store, include_dir))
    schemas = (*GOVERNED_SCHEMAS, AUDIT_SCHEMA)
    existing = {
        name
        for (name,) in connection.execute(
            "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname = ANY(%s)",
            (list(schemas),),
        )
    }
    in_place = [c for c in conditions if c.state is State.AS_FILE]
    return Plan(
        schemas=tuple(s for s in schemas if s not in existing),
        migrations=migrations,
        creates=tuple(c.thing for c in conditions if c.state is State.MISSING),
        comments=tuple(c.thing for c in in_place if c.dictionary_differs),
        blocked=tuple(c for c in conditions if c.state not in (State.MISSING, State.AS_FILE)),
        in_place=len(in_place),
    )


def blockages(plan: Plan) -> list[str]:
    """Each blocked object with its state, where it differs, and the way out."""
    return [
        f"{c.thing.label}: {c.state}\n{c.details}\nNext: {_WAY_OUT[c.state].format(c.thing.label)}"
        for c in plan.blocked
    ]


_WAY_OUT = {
    State.FOREIGN: "rename or drop it yourself, then `bin/feature-store apply` creates ours; "
    "we never touch what we did not create.",
    State.FILE_CHANGED: "put the file back, or drop {0} and what reads it yourself, then "
    "`bin/feature-store apply`.",
    State.ALTERED_LIVE: "undo the change in the database, or drop {0} and what reads it "
    "yourself, then `bin/feature-store apply`.",
}
