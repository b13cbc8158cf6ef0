"""Mutants: one query each, with one mistake in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import sqlglot
from sqlglot import exp

from feature_store.declarations.store_definition import Relation
from tests.mutation.mistakes import MISTAKES

Part = Literal["relation", "specification"]


@dataclass(frozen=True)
class Mutant:
    """A query with one mistake.

    Attributes:
        relation: the relation whose query or specification is wrong.
        part: which of these two files has the mistake.
        place: the number of the node in the query, which tells alike mistakes apart.
        mistake: what is wrong, in a few words.
        before: what stands there in the file.
        after: what stands there in the mutant.
        query: the whole query, with the mistake.
    """

    relation: str
    part: Part
    place: int
    mistake: str
    before: str
    after: str
    query: str

    @property
    def key(self) -> str:
        """What a mutant is called in every run of the campaign."""
        return f"{self.relation} {self.part} {self.place} {self.mistake}"

    @property
    def digest(self) -> str:
        """The query's digest: with another query it is another mutant, even at the same place."""
        return sha256(self.query.encode()).hexdigest()[:16]


def mutants_of(relation: Relation) -> Iterator[Mutant]:
    """Every mutant of a relation's own query and of its specification."""
    yield from _mutants(str(relation.name), "relation", relation.file.query)
    assert relation.specification is not None  # `plan` refuses a store without
    yield from _mutants(str(relation.name), "specification", relation.specification.query)


def unchanged(query: str) -> str:
    """A query as the mutants' printer writes it: its rows must be those of the file's query."""
    return _parsed(query).sql(dialect="postgres")


def _parsed(query: str) -> exp.Expression:
    return sqlglot.parse_one(query, dialect="postgres")


def _mutants(relation: str, part: Part, query: str) -> Iterator[Mutant]:
    tree = _parsed(query)
    seen = {tree.sql(dialect="postgres")}
    for place, node in enumerate(tree.walk()):
        if _only_sorts_rows(node):
            continue
        for make in MISTAKES:
            for mistake, wrong in make(node):
                changed = _replaced(tree, place, wrong)
                if changed not in seen:
                    seen.add(changed)
                    before, after = (n.sql(dialect="postgres") for n in (node, wrong))
                    yield Mutant(relation, part, place, mistake, before, after, changed)


def _only_sorts_rows(node: exp.Expression) -> bool:
    """Whether a node only sorts the rows of the result, which in a relation have no order."""
    order = node if isinstance(node, exp.Order) else node.find_ancestor(exp.Order)
    return order is not None and order.parent is node.root()


def _replaced(tree: exp.Expression, place: int, wrong: exp.Expression) -> str:
    copy = tree.copy()
    for at, node in enumerate(copy.walk()):
        if at == place:
            node.replace(wrong)
            break
    return copy.sql(dialect="postgres")
