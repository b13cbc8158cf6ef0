"""The reference: what a refresh written straight from the documents does, in a schema of its own.

Three relations have their own SQL in ``bench/reference``. All others use our SQL without the order
of rows, which no document asks for. Names are moved to the schema ``reference``, so that both are
in one database, with the same sources and indexes. Helper relations that only our SQL needs are not
part of the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from bench.unordered import without_order
from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.files.schema_rewrite import moved
from feature_store.declarations.files.sql_file import read_sql_file
from feature_store.declarations.store_definition import Relation, Store
from feature_store.errors import BadInput
from feature_store.relation_name import Name

SCHEMA = "reference"
REFERENCE_DIR = Path(__file__).parent / "reference"


@dataclass(frozen=True)
class Reference:
    """The reference's relations, under our names, and how they stand to ours.

    Attributes:
        relations: in an order in which they can be created and refreshed, with the reference's own
            SQL where it has some.
        own: the names of those that have SQL of their own.
        store: ours.
    """

    relations: tuple[Relation, ...]
    own: frozenset[Name]
    store: Store

    @property
    def refreshed(self) -> tuple[Relation, ...]:
        """The materialized views."""
        return tuple(r for r in self.relations if r.refresh is not Refresh.NEVER)

    @cached_property
    def helpers(self) -> dict[Name, tuple[Name, ...]]:
        """Our materialized views that the reference lacks, each with the relations it serves."""
        known = {r.name for r in self.relations}
        extra = [r for r in self.store.refreshed if r.name not in known]
        return {r.name: self._served(r.name, known) for r in extra}

    def _served(self, helper: Name, known: set[Name]) -> tuple[Name, ...]:
        served: list[Name] = []
        below = {helper}
        for relation in self.store.relations:  # each after all that it reads
            if not relation.file.reads & below:
                continue
            if relation.name in known and relation.refresh is not Refresh.NEVER:
                served.append(relation.name)
            else:
                below.add(relation.name)
        return tuple(served)


def read_reference(store: Store) -> Reference:
    """Read the reference's SQL and put it in the places of ours.

    Raises:
        BadInput: a file cannot be used, or is of a relation that the store does not have.
    """
    files = {file.name: file for file in map(read_sql_file, sorted(REFERENCE_DIR.glob("*.sql")))}
    ours = {relation.name: relation for relation in store.relations}
    if unknown := files.keys() - ours.keys():
        named = ", ".join(map(str, sorted(unknown)))
        raise BadInput(f"{REFERENCE_DIR} has SQL for {named}, which is no relation of the store.")
    mixed = {
        name: replace(
            relation,
            file=replace(
                relation.file,
                create=files[name].create,
                reads=files[name].reads,
            ),
        )
        if name in files
        else replace(relation, file=without_order(relation.file))
        for name, relation in ours.items()
    }
    kept = _needed(ours, mixed)
    ordered = tuple(mixed[r.name] for r in store.relations if r.name in kept)
    return Reference(ordered, frozenset(files), store)


def statements_in(relation: Relation, names: Mapping[Name, str]) -> tuple[str, ...]:
    """The statements that create a relation and its indexes in another schema."""
    statements = (relation.file.create, *relation.file.indexes.values())
    return tuple(moved(statement.text, names) for statement in statements)


def _needed(ours: Mapping[Name, Relation], mixed: Mapping[Name, Relation]) -> set[Name]:
    """What readers read in the end, and all that it reads in the reference."""
    read_by_ours = {name for relation in ours.values() for name in relation.file.reads}
    needed: set[Name] = set()
    pending = [name for name in ours if name not in read_by_ours]
    while pending:
        name = pending.pop()
        if name in mixed and name not in needed:
            needed.add(name)
            pending.extend(mixed[name].file.reads)
    return needed
