"""What the tests of the SQL use of the test store, and a few words to write source rows with."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from feature_store.connection import Connection
from tests.oracle.rows import Sources

Rows = Sequence[Mapping[str, Any]]


class Store(Protocol):
    """A database with the source tables and all relations."""

    connection: Connection

    def load(self, *, listings: Rows = (), ai: Rows = (), images: Rows = ()) -> None:
        """Replace the source rows; a missing key is NULL."""

    def refresh(self) -> None:
        """Refresh every relation, in dependency order."""

    def rows(self, relation: str) -> list[dict[str, Any]]:
        """All rows of a relation, in no particular order."""

    def columns(self, relation: str) -> list[tuple[str, str]]:
        """Names and types of a relation's columns, in order."""


def at(text: str) -> datetime:
    """An instant in UTC: ``at("2026-03-10 08:00")``."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def load(store: Store, listings: Rows, *, ai: Rows = (), images: Rows = ()) -> None:
    """Load these source rows and refresh everything."""
    store.load(listings=list(listings), ai=list(ai), images=list(images))
    store.refresh()


def load_sources(store: Store, sources: Sources) -> None:
    """Load the oracle's source rows and refresh everything."""
    load(
        store,
        sources.as_tables()["listings"],
        ai=sources.as_tables()["ai"],
        images=sources.as_tables()["images"],
    )


def by_id(store: Store, relation: str) -> dict[int, dict[str, Any]]:
    """A relation's rows by listing_id, of which there is one each."""
    rows = store.rows(relation)
    result = {row["listing_id"]: row for row in rows}
    assert len(result) == len(rows)
    return result


def only(store: Store, relation: str, **where: Any) -> dict[str, Any]:
    """The one row of a relation that has these values."""
    found = [r for r in store.rows(relation) if all(r[k] == v for k, v in where.items())]
    assert len(found) == 1, f"{relation}: {len(found)} rows where {where}"
    return found[0]


def picked(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    """Some columns of a row."""
    return tuple(row[name] for name in names)
