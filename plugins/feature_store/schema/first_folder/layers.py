"""How each relation that was found is refreshed: blocking, concurrently, or never."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feature_store.declarations.dag_outline import Refresh
from feature_store.declarations.files.sql_statement import parse
from feature_store.declarations.undecided import MARK
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from feature_store.schema.first_folder.found_store import FoundIndex, FoundRelation, FoundStore
from feature_store.text_format import in_words

_NULLS = "NULLS NOT DISTINCT"


@dataclass(frozen=True)
class Placed:
    """A relation and its place.

    Attributes:
        relation: it.
        refresh: the folder that its file goes to.
        words: how it is refreshed and why, for the header; with the mark where a person decides.
    """

    relation: FoundRelation
    refresh: Refresh
    words: str


def place(found: FoundStore) -> tuple[Placed, ...]:
    """Find a place for each relation, by its keys and by who reads it.

    What has a key by which rows are told apart is refreshed concurrently, for that keeps no reader
    waiting. What has none cannot be; and nor can what it reads, for every base layer is refreshed
    before a read layer.
    """
    made = {relation.name: relation for relation in found.materialized}
    below = {name: found.below(name) & made.keys() for name in made}
    keyless = {name for name, relation in made.items() if not key_of(relation)}
    above = {name: [n for n in sorted(made) if name in below[n]] for name in made}
    return tuple(
        _placed(relation, keyless, above.get(relation.name, []))
        for relation in found.relations.values()
    )


def key_of(relation: FoundRelation) -> tuple[str, ...]:
    """The shortest key that its indexes declare, of those that a file can say; empty: none."""
    keys = [index.key for index in relation.indexes if index.key and is_readable(index)]
    return min(keys, key=len, default=())


def is_readable(index: FoundIndex) -> bool:
    """Whether the reader of a file knows the words that create an index."""
    words = index.definition.removesuffix(_NULLS)  # known as the last ones only
    if _NULLS in words:
        return False
    try:
        parse(Path("index.sql"), words)
    except BadInput:
        return False
    return True


def _placed(relation: FoundRelation, keyless: set[Name], above: list[Name]) -> Placed:
    if not relation.materialized:
        return Placed(relation, Refresh.NEVER, "never: a plain view")
    if relation.name not in keyless:
        if blocking := [str(name) for name in above if name in keyless]:
            words = f"blocking, as {in_words(blocking)} is, which reads it."
            return Placed(relation, Refresh.BLOCKING, words)
        return Placed(relation, Refresh.CONCURRENT, "concurrent.")
    if above:
        return Placed(relation, Refresh.BLOCKING, "blocking: it has no unique index below.")
    return Placed(
        relation,
        Refresh.BLOCKING,
        f"blocking. {MARK} it has no unique index over columns below, so its readers wait while it "
        "is refreshed. Keep that; or create one, write it below, and move the file to sql/read.",
    )
