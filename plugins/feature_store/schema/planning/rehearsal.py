"""A rehearsal: what apply would replace or create is built beside, filled, proven, and thrown away.

Everything is one transaction that is rolled back, in a schema that nobody else sees. So nothing is
left, whatever ends it. Readers never wait. A run that begins meanwhile waits, as it does for apply.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import psycopg
from psycopg import sql

from feature_store.audit.lease import lock_free_lease
from feature_store.connection import Connection, one_value, seeing_one_moment
from feature_store.database.catalog import live_columns
from feature_store.declarations.expectations import read_expectations
from feature_store.declarations.files.schema_rewrite import moved
from feature_store.declarations.leak_rules import read_rules
from feature_store.declarations.store_definition import Relation, Store
from feature_store.declarations.suites import read_suites
from feature_store.errors import NotReady, StoreError
from feature_store.proof.comparison import compare
from feature_store.proof.proving import compare_stored
from feature_store.proof.result import Comparison
from feature_store.proof.terms import Terms
from feature_store.relation_name import AUDIT_SCHEMA, Name
from feature_store.schema.applied_definitions import words_of_files
from feature_store.schema.object_states import require_store
from feature_store.schema.planning.plan import Plan, make_plan
from feature_store.schema.planning.plan_words import REPLACEABLE
from feature_store.schema.planning.rehearsed import Rehearsed
from feature_store.schema.privileges.foreign_code import carried_code
from feature_store.schema.replacement.build_beside import build, fill, naming, place_beside
from feature_store.schema.replacement.dependents import Old, Rebuilt, Replacement, plan_replacement
from feature_store.schema.source_problems import source_problems
from feature_store.settings import Settings


@dataclass(frozen=True)
class Rehearsal:
    """The result for all relations.

    Attributes:
        plan: what apply would do.
        relations: what was built, each after what it reads; none if all are as their files say.
        seconds: how long it took.
    """

    plan: Plan
    relations: tuple[Rehearsed, ...]
    seconds: float


def rehearse(
    connection: Connection,
    store: Store,
    settings: Settings,
    names: Collection[str],
    minutes: float,
    stamps: Collection[str] = (),
) -> Rehearsal:
    """Build what would be replaced or created, and compare it with its proofs and the live rows.

    Args:
        connection: a pinned session in autocommit mode, of the role that would apply.
        store: what the files say.
        settings: where the files are, and how long a silent lease counts.
        names: the relations to replace; if empty, all that differ from their file.
        minutes: the most minutes for all of it.
        stamps: feature sets that apply would stamp with it, by name.

    Raises:
        BadInput: a name that cannot be replaced.
        LeaseTaken: a run, or an apply, is working on the store.
        NotReady: a source is missing, it cannot be built or filled, or it took too long.
    """
    require_store(connection)
    _refuse(source_problems(connection, store.sources))
    started = time.monotonic()
    until = started + minutes * 60
    tables = _tables(connection, store)
    try:
        with seeing_one_moment(connection), connection.transaction(force_rollback=True):
            # The first statements take no snapshot, so they wait for a table that is being reloaded
            # instead of seeing it empty.
            for table in tables:
                connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(table))
            lock_free_lease(connection, lambda _: None, timedelta(seconds=settings.lease_grace))
            _at_most(connection, until)
            plan, replacement = _planned(connection, store, settings, names, stamps)
            if replacement.rebuilt:
                build(connection, replacement, words_of_files(connection))
            done = tuple(_rehearsed(connection, store, settings, replacement, until))
        return Rehearsal(plan, done, time.monotonic() - started)
    except (StoreError, psycopg.Error) as error:
        stopped = error if isinstance(error, psycopg.Error) else error.__cause__
        if not isinstance(stopped, psycopg.errors.QueryCanceled):
            raise
        raise NotReady(
            f"The rehearsal was stopped: {stopped.diag.message_primary}.",
            readers="what they had before; nothing is left of it.",
            next_step=f"Give it more than {minutes:g} minutes (--minutes), or fewer relations.",
        ) from error


def _refuse(problems: list[str]) -> None:
    if problems:
        raise NotReady("Nothing was rehearsed:", items=problems, readers="what they had before.")


def _tables(connection: Connection, store: Store) -> list[sql.Identifier]:
    """The sources that can be locked by name."""
    rows = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class AS c "
        "INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid "
        "WHERE c.oid = ANY(%s::regclass[]) AND c.relkind IN ('r', 'p', 'v') ORDER BY 1, 2",
        ([source.name.quoted for source in store.sources],),
    ).fetchall()
    return [sql.Identifier(schema, table) for schema, table in rows]


def _planned(
    connection: Connection,
    store: Store,
    settings: Settings,
    names: Collection[str],
    stamps: Collection[str],
) -> tuple[Plan, Replacement]:
    def planned(replaced: Collection[str]) -> Plan:
        return make_plan(connection, store, settings.include_dir, replaced, stamps=stamps)

    plan = planned(names)
    if not names:
        changed = [
            c.thing.label for c in plan.blocked if c.thing.relation and c.state in REPLACEABLE
        ]
        plan = planned(changed) if changed else plan
    _refuse([*plan.unsafe, *plan.carried])
    created = [thing.label for thing in plan.creates if thing.relation]
    replacement = plan.replacement or plan_replacement(connection, store, (), created)
    filled = tuple(
        replace(one, filled=one.relation.file.materialized) for one in replacement.rebuilt
    )
    return plan, replace(replacement, rebuilt=filled)


def _rehearsed(
    connection: Connection,
    store: Store,
    settings: Settings,
    replacement: Replacement,
    until: float,
) -> Iterator[Rehearsed]:
    schemas: dict[Name, str | None] = {
        one.name: place_beside(one.name).schema for one in replacement.rebuilt
    }
    queries = _expectations(store, settings, schemas)
    for one in replacement.rebuilt:
        _at_most(connection, until)
        fill(connection, replace(replacement, rebuilt=(one,)))
    for one in replacement.rebuilt:
        beside = _beside(one.relation, schemas)
        broken, met = _checked(connection, queries.get(str(one.name), {}), until)
        _at_most(connection, until)
        live, columns = None, "what readers have now is not compared: that would run code of others"
        if not _runs_code_of_others(connection, store, settings, one.old):
            with naming(f"{one.name} cannot be compared"):
                live, columns = _beside_live(connection, one, beside)
        _at_most(connection, until)
        proof = compare_stored(connection, beside) if beside.specification else None
        yield Rehearsed(one.name, proof, live, columns, broken, met)


def _at_most(connection: Connection, until: float) -> None:
    """Stop a statement that goes on at that time. Each needs it anew, as its time begins anew."""
    left = max(int((until - time.monotonic()) * 1000), 1)
    connection.execute("SELECT set_config('statement_timeout', %s, true)", (f"{left}ms",))


def _beside(relation: Relation, schemas: dict[Name, str | None]) -> Relation:
    """The relation in the rehearsal's schema, with a specification for that schema."""
    name = place_beside(relation.name)
    specification = relation.specification and replace(
        relation.specification, query=moved(relation.specification.query, schemas)
    )
    return replace(relation, file=replace(relation.file, name=name), specification=specification)


def _expectations(
    store: Store, settings: Settings, schemas: dict[Name, str | None]
) -> dict[str, dict[str, str]]:
    """The queries about each relation, by what they expect, without those that read the record."""
    found: dict[str, dict[str, str]] = {}
    for suite in read_suites(settings.include_dir):
        for expectation in read_expectations(settings.include_dir, store, suite):
            if expectation.severity == "critical" and AUDIT_SCHEMA not in expectation.query:
                of = found.setdefault(expectation.relation, {})
                of[expectation.expected] = moved(expectation.query, schemas)
    return found


def _checked(
    connection: Connection, queries: dict[str, str], until: float
) -> tuple[tuple[str, ...], int]:
    broken = []
    for expected, query in queries.items():
        _at_most(connection, until)
        counted = sql.SQL("SELECT count(*) FROM (\n{}\n) AS q").format(sql.SQL(query))
        if found := one_value(connection, counted):
            broken.append(f"{expected} ({found:,})")
    return tuple(broken), len(queries) - len(broken)


def _runs_code_of_others(
    connection: Connection, store: Store, settings: Settings, old: Old | None
) -> bool:
    """Whether reading a plain view that is replaced would: the plan looks at what replaces it."""
    if old is None or old.materialized:
        return False
    rules = read_rules(settings.include_dir)
    return bool(carried_code(connection, store, rules, only=[old.name]))


def _beside_live(
    connection: Connection, one: Rebuilt, beside: Relation
) -> tuple[Comparison | None, str]:
    """The new rows compared with those of readers, in the columns that both have."""
    if one.old is None or not one.old.populated:
        return None, ""
    new, old = live_columns(connection, beside.name), live_columns(connection, one.name)
    both = {column: kind for column, kind in new.items() if column in old}
    key = next((k for k in one.relation.keys.values() if set(k) <= both.keys()), ())
    key = key or (one.relation.specification.key if one.relation.specification else ())
    tolerance = one.relation.specification.tolerance if one.relation.specification else {}
    terms = Terms(both, key, {c: t for c, t in tolerance.items() if c in both})
    columns = sql.SQL(", ").join(map(sql.Identifier, both))
    expected = sql.SQL("(SELECT {} FROM {})").format(columns, one.name.identifier)
    told = [
        f"{words}: {', '.join(names)}"
        for words, names in (
            ("new columns", [c for c in new if c not in old]),
            ("columns that go away", [c for c in old if c not in new]),
        )
        if names
    ]
    return compare(connection, beside.name.identifier, expected, terms), "; ".join(told)
