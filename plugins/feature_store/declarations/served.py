"""What a contract file says about its feature log: entity, t0 and labels.

A set without these three fields has no log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from feature_store.errors import BadInput
from feature_store.relation_name import MOST_BYTES, Name, is_column

if TYPE_CHECKING:  # clients and the DAG's file come here, and parse no SQL
    from feature_store.declarations.store_definition import Store

LOG_COLUMNS = {
    "t0": "timestamp with time zone",
    "served_at": "timestamp with time zone",
    "served_after": "interval",
    "as_of_day": "date",
    "dag_id": "text",
    "run_id": "text",
    "contract_hash": "text",
    "serving": "bigint",
}
"""The log's columns, besides its entity and the set's features, with their types."""

STILL_LISTED = "still_listed"
TRAINING = "_training"
"""The end of the name of a set's training view."""
_MOST_BYTES = MOST_BYTES - len(TRAINING)


@dataclass(frozen=True)
class Column:
    """A column of a relation."""

    relation: Name
    name: str

    @classmethod
    def parse(cls, text: str) -> Column:
        """Read ``schema.relation.column``.

        Raises:
            BadInput: anything else; or the column has a ``%``, as no feature may.
        """
        relation, _, name = text.rpartition(".")
        words = f"{text!r} is not a column; expected schema.relation.column."
        if not is_column(name) or "%" in name:
            raise BadInput(words)
        try:
            return cls(Name.parse(relation), name)
        except BadInput:
            raise BadInput(words) from None

    def __str__(self) -> str:
        return f"{self.relation}.{self.name}"


@dataclass(frozen=True)
class Served:
    """The entity, t0 and labels of a set's feature log.

    Attributes:
        entity: the column of what a row is about, in the set's relation and in all below it.
        t0: the column with an entity's t0.
        labels: what became of it, for the training view.
    """

    entity: str
    t0: Column
    labels: tuple[Column, ...]

    @property
    def columns(self) -> Iterator[tuple[str, Column]]:
        """What is read besides the features: each column, after the field that names it."""
        yield "t0", self.t0
        yield from (("labels", label) for label in self.labels)


def parse_served(
    name: str, features: list[str], entity: str | None, t0: str | None, labels: list[str]
) -> Served | None:
    """Check the three fields of a set; None if the file has none of them.

    Raises:
        BadInput: one is there without the other, or a name cannot be used in a log.
    """
    if entity is None and t0 is None and not labels:
        return None
    if entity is None or t0 is None:
        raise BadInput("entity and t0 go together; the file has only one of them, or only labels.")
    served = Served(entity, Column.parse(t0), tuple(Column.parse(label) for label in labels))
    if len(name.encode()) > _MOST_BYTES:
        raise BadInput(
            f"the name has {len(name.encode())} bytes; expected at most {_MOST_BYTES}, so that its "
            f"training view can be called {name}{TRAINING}."
        )
    taken = [*LOG_COLUMNS, STILL_LISTED]
    beside = [served.entity, *(label.name for label in served.labels)]
    for column in (*beside, *(f for f in features if f != entity)):
        if column in taken:
            raise BadInput(f"{column!r} would be in the feature log twice; give it another name.")
        if column in beside:
            taken.append(column)
    return served


def check_served(path: Path, served: Served, own: Name, store: Store) -> None:
    """Refuse a t0 or a label whose rows no run proves, or of which an entity may have several.

    A table of the user's has no certificate. It may also be reloaded while it is read: then a log
    would keep an empty t0 for ever, and a training set would be empty. A plain view may read such
    a table. A materialized view has no such moment.

    Args:
        path: the contract file.
        served: what it says.
        own: the relation that carries the set; it is proven and locked with it.
        store: what the other files say.

    Raises:
        BadInput: there is one.
    """
    layers = {relation.name: relation for relation in store.refreshed}
    for field, column in served.columns:
        if column.relation == own:
            continue
        if column.relation not in layers:
            raise BadInput(
                f"{path}: {field}: {column.relation} is not a materialized view of the store, so "
                "no run proves its rows.",
                next_step="Name a column of one. To take it from a table of yours, write a "
                f"materialized view of {served.entity} and {column.name} in sql/base.",
            )
        if {served.entity} not in map(set, layers[column.relation].keys.values()):
            raise BadInput(
                f"{path}: {field}: {column.relation} has no key of {served.entity} alone, so "
                "rows of the set could come out twice.",
                next_step="Name a relation with one row of each, and a unique index on it.",
            )
