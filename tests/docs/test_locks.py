"""What docs/operations.md says to type about who keeps a refresh waiting."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from sandbox.roles import READER, as_role, grant_roles
from sandbox.server import run_psql

from .pages import blocks, section

_LIMIT = f"ALTER ROLE {READER} IN DATABASE scrapes RESET idle_in_transaction_session_timeout"


def test_the_holder_is_ended_and_its_new_limit_holds(certified: str, tmp_path: Path) -> None:
    """The file that grants has set a limit in the database, which wins over one of the role."""
    grant_roles(certified)
    typed = tmp_path / "typed.sql"
    lines = blocks(section("operations.md", "A refresh waits for a lock"), "psql")
    typed.write_text("".join(lines))
    with psycopg.connect(as_role(certified, READER)) as holder:
        holder.execute("SELECT 1")
        pid = str(holder.info.backend_pid)
        run_psql(certified, typed, holder=pid, login=READER, ON_ERROR_STOP="on")
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")
    try:
        with psycopg.connect(as_role(certified, READER)) as again:
            limit = again.execute("SHOW idle_in_transaction_session_timeout").fetchone()
        assert limit == ("1min",)
    finally:
        with psycopg.connect(certified, autocommit=True) as connection:
            connection.execute(_LIMIT)
