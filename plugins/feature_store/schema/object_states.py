"""The states of the objects that apply creates.

An object's state comes from comparing these texts: the file's definition now and when it was
applied, and the server's description then and now. What apply did not create is adopted as it is,
if possible; then only the server's description counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from feature_store.audit.adopted import ADOPTED
from feature_store.connection import Connection
from feature_store.database.catalog import QUERY_BEGINS, QUERY_ENDS, no_view, without_storage
from feature_store.database.session import server_major
from feature_store.declarations.store_definition import Relation
from feature_store.errors import NotReady
from feature_store.relation_name import AUDIT_SCHEMA
from feature_store.schema.governance.governance import Governance
from feature_store.schema.governance.governance_difference import GovernanceDifference, compare
from feature_store.text_format import difference

# A relation's query is marked; those of the views that show the registry are not.
_QUERIES = re.compile(f"{QUERY_BEGINS}\n.*?\n{QUERY_ENDS}|^ SELECT .*?;$", re.DOTALL | re.MULTILINE)


class State(StrEnum):
    """How an object compares with its file."""

    MISSING = "missing"
    AS_FILE = "as its file"
    ADOPTED = "adopted as it is"
    ADOPTABLE = "not created by apply, and fit to be adopted"
    INCOMPLETE = "incomplete, or partly different from its file"
    OUTDATED = "its file has changed since it was applied"
    DRIFTED = "altered in the database since it was applied"
    FOREIGN = "not created by apply, and different"
    TAKEN = "missing, and a name that it needs is taken"
    IN_THE_WAY = "something that is no view has its name"
    WITHOUT_FILE = "no file any more"


@dataclass(frozen=True)
class StoreObject:
    """Something that apply creates as a whole.

    Attributes:
        label: its name in messages and in the audit schema.
        definition: what makes it what it is, normalised, as its file says now.
        dictionary: its comments, normalised.
        create: the statements that create it.
        comment: the statements that comment on it.
        describe: gives the server's description of it, None if it does not exist.
        misfits: gives what keeps it from being adopted as it is, in words.
        collisions: gives the names that it needs and that are taken, each with who has it.
        relation: the relation that it is; None for a governance file.
        governance: the governance file that it is; None for a relation.
    """

    label: str
    definition: str
    dictionary: str
    create: tuple[str, ...]
    comment: tuple[str, ...]
    describe: Callable[[Connection], str | None]
    misfits: Callable[[Connection], list[str]]
    collisions: Callable[[Connection], dict[str, str]]
    relation: Relation | None
    governance: Governance | None


@dataclass(frozen=True)
class Condition:
    """An object and its state.

    Attributes:
        thing: the object.
        state: its state.
        details: where file and database differ, in words; empty if they do not.
        dictionary_differs: whether its comments in the file differ from the applied ones.
        reworded: whether another major version of the server described it when it was applied.
        difference: of a governance file that is not as it should be, its parts.
        taken_by: the relations that have the names that it needs, by name; empty for anything else.
    """

    thing: StoreObject
    state: State
    details: str = ""
    dictionary_differs: bool = False
    reworded: bool = False
    difference: GovernanceDifference | None = None
    taken_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Recorded:
    """What the audit schema has recorded of an object."""

    file_definition: str
    live_definition: str
    dictionary: str
    server_major: int

    @property
    def adopted(self) -> bool:
        return self.file_definition.startswith(ADOPTED)


def examine(
    connection: Connection,
    things: tuple[StoreObject, ...],
    named: Collection[str] = (),
    dropped: Collection[str] = (),
) -> list[Condition]:
    """Find the state of each object.

    Args:
        connection: a pinned session.
        things: the objects.
        named: functions that may be replaced.
        dropped: relations that will be dropped, by name: they take no name from others.
    """
    recorded: dict[str, _Recorded] = {}
    if has_audit(connection):
        recorded = {
            label: _Recorded(file, without_storage(live), *rest)
            for label, file, live, *rest in connection.execute(
                "SELECT object, file_definition, live_definition, dictionary, server_major "
                "FROM feature_store_audit.definition"
            )
        }
    return [
        _governance_condition(
            connection,
            thing,
            thing.governance,
            recorded.get(thing.label) or recorded.get(thing.governance.formerly),
            named,
        )
        if thing.governance
        else _condition(connection, thing, recorded.get(thing.label), dropped)
        for thing in things
    ]


def has_audit(connection: Connection) -> bool:
    """Whether the audit schema exists."""
    # From the catalog, which everybody may read.
    row = connection.execute(
        "SELECT 1 FROM pg_catalog.pg_class AS c INNER JOIN pg_catalog.pg_namespace AS n "
        "ON c.relnamespace = n.oid WHERE n.nspname = %s AND c.relname = 'migration'",
        (AUDIT_SCHEMA,),
    ).fetchone()
    return row is not None


def require_store(connection: Connection) -> None:
    """Pass if a store has been created.

    Raises:
        NotReady: none has.
    """
    if not has_audit(connection):
        raise NotReady(
            "The store has not been created.", next_step="Run `bin/feature-store apply`."
        )


def _missing(connection: Connection, thing: StoreObject, dropped: Collection[str]) -> Condition:
    taken = {n: of for n, of in thing.collisions(connection).items() if of not in dropped}
    if not taken:
        return Condition(thing, State.MISSING)
    words = [
        f"its index {name} cannot be created: {of or 'something else'} has an index of that name"
        for name, of in taken.items()
    ]
    by = tuple(dict.fromkeys(taken.values()))
    return Condition(thing, State.TAKEN, "\n".join(words), taken_by=by)


def _condition(
    connection: Connection,
    thing: StoreObject,
    recorded: _Recorded | None,
    dropped: Collection[str],
) -> Condition:
    live = thing.describe(connection)
    if live is None:
        return _missing(connection, thing, dropped)
    if kind := no_view(live):
        return Condition(thing, State.IN_THE_WAY, f"it is of this kind: {kind}")
    if recorded is None:
        return _there_before(connection, thing, "")
    changed = _change(connection, live, recorded)
    if changed is not None and recorded.adopted:
        # Its owner may change an adopted relation; then it is checked again.
        return _there_before(connection, thing, changed)
    if changed is not None:
        return Condition(thing, State.DRIFTED, changed)
    reworded = recorded.server_major != server_major(connection)
    if recorded.adopted:
        return Condition(thing, State.ADOPTED, reworded=reworded)
    if thing.definition != recorded.file_definition:
        details = difference(recorded.file_definition, thing.definition)
        return Condition(thing, State.OUTDATED, details)
    differs = thing.dictionary != recorded.dictionary
    return Condition(thing, State.AS_FILE, dictionary_differs=differs, reworded=reworded)


def _there_before(connection: Connection, thing: StoreObject, changed: str) -> Condition:
    problems = thing.misfits(connection)
    if problems:
        return Condition(thing, State.FOREIGN, "\n".join(problems))
    return Condition(
        thing, State.ADOPTABLE, changed and f"changed since it was adopted:\n{changed}"
    )


def _governance_condition(
    connection: Connection,
    thing: StoreObject,
    governance: Governance,
    recorded: _Recorded | None,
    named: Collection[str],
) -> Condition:
    live = thing.describe(connection)
    if live is None:
        return Condition(thing, State.MISSING)
    then = None
    if recorded:
        file_then = recorded.file_definition.removeprefix(ADOPTED)
        changed = _change(connection, live, recorded)
        if changed is None and thing.definition == file_then and not _any_named(governance, named):
            state = State.ADOPTED if recorded.adopted else State.AS_FILE
            differs = not recorded.adopted and thing.dictionary != recorded.dictionary
            reworded = recorded.server_major != server_major(connection)
            return Condition(thing, state, "", differs, reworded)
        said = recorded.live_definition
        if recorded.server_major != server_major(connection):
            said = _reworded(live, said)
        then = (file_then, said)
    stays = recorded is None or recorded.adopted
    parts = compare(connection, governance, named, then, may_stay=stays)
    if not parts.misfits:
        ours = recorded is not None and not recorded.adopted
        state = State.INCOMPLETE if ours else State.ADOPTABLE
        return Condition(thing, state, difference=parts)
    state = State.FOREIGN
    if recorded:
        state = State.DRIFTED if changed is not None else State.OUTDATED
    return Condition(thing, state, "\n".join(parts.misfits), difference=parts)


def _any_named(governance: Governance, named: Collection[str]) -> bool:
    return any(str(part.name) in named for part in governance.parts)


def _change(connection: Connection, live: str, recorded: _Recorded) -> str | None:
    """What the server describes differently than then, in words; None if nothing."""
    then = recorded.live_definition
    another_server = recorded.server_major != server_major(connection)
    if live == then or (another_server and _alike(live, then)):
        return None
    return difference(then, live)


def _alike(live: str, live_then: str) -> bool:
    """Whether two descriptions by different major versions agree in all but a query's wording."""
    return _QUERIES.sub("", live) == _QUERIES.sub("", live_then)


def _reworded(live: str, live_then: str) -> str:
    """What another major version said then, with its queries as this one words them now."""
    return "\n".join([_QUERIES.sub("", live_then), *_QUERIES.findall(live)])
