"""Two years of nights before a real one, as its record would have grown, with its rare trouble."""

from __future__ import annotations

from pathlib import Path

from feature_store.connection import Connection
from tests.conftest import WRITABLE_RECORD

_HERE = Path(__file__).parent


def write_years(session: Connection) -> None:
    """Write the nights before the only run that the record has, each made of what that run left."""
    session.execute(WRITABLE_RECORD.read_bytes())
    session.execute((_HERE / "years.sql").read_bytes())


def find(session: Connection, what: str) -> None:
    """Let the latest run have found ``reviews`` or a ``leak``, which nobody has answered for."""
    session.execute((_HERE / f"{what}.sql").read_bytes())
