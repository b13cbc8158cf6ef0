"""What a refresh proves of a relation and records for later checks, as digests of the files.

A refresh records them with what it read (`refresh.inputs`). Rows are used again only if they are
the same today, and so is the comparison that a refresh made.
"""

from __future__ import annotations

from hashlib import sha256

from feature_store.audit.latest_refreshes import read_latest
from feature_store.connection import Connection
from feature_store.declarations.store_definition import Relation


def what_is_proven(relation: Relation) -> dict[str, str]:
    """The files' part in it, by what it is in words."""
    specification = relation.specified_by_refresh
    by_owner = relation.specification is not None and relation.specification.by_owner
    spam = relation.rows.without if relation.rows else None
    return {
        "the witness": _digest(relation.witness or ""),
        "what is spam": _digest(spam.flagged.as_string() if spam else ""),
        "the specification": specification.digest if specification else "",
        "whose definition is proven": "its owner's" if by_owner else "its specification's",
    }


def changed_since_refreshed(connection: Connection, relation: Relation) -> list[str]:
    """What of it is another one than when the relation was refreshed; nothing if unknown."""
    latest = read_latest(connection).get(str(relation.name))
    then = (latest.inputs if latest else None) or {}
    return [name for name, now in what_is_proven(relation).items() if then.get(name, now) != now]


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
