"""Two years of nights before a real one, with the rare trouble that such a record has."""

from __future__ import annotations

from pathlib import Path

from feature_store.connection import Connection
from tests.conftest import WRITABLE_RECORD

_HERE = Path(__file__).parent


def write_years(session: Connection) -> None:
    """Write the nights before the record's only run, each made like that run."""
    session.execute(WRITABLE_RECORD.read_bytes())
    session.execute((_HERE / "years.sql").read_bytes())


def find(session: Connection, what: str) -> None:
    """Add ``reviews`` or a ``leak`` to what the latest run found; nobody has answered them."""
    session.execute((_HERE / f"{what}.sql").read_bytes())
