"""The audit schema's versioned migrations, ``include/sql/audit/NNNN_name.sql``, each run once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection

from feature_store.errors import BadInput
from feature_store.objects import has_audit

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True)
class Migration:
    """One step of the audit schema.

    Attributes:
        version: its number; steps are applied in this order, without gaps.
        name: what it brings.
        sql: its statements.
    """

    version: int
    name: str
    sql: str


def read_migrations(include_dir: Path) -> tuple[Migration, ...]:
    """Read all migrations in order.

    Raises:
        BadInput: a file that is not called NNNN_name.sql, or a gap in the numbers.
    """
    migrations: list[Migration] = []
    for path in sorted((include_dir / "sql" / "audit").glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if not match or int(match[1]) != len(migrations) + 1:
            raise BadInput(
                f"{path}: expected a migration called {len(migrations) + 1:04d}_name.sql."
            )
        migrations.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    return tuple(migrations)


def audit_is_current(connection: Connection[Any], include_dir: Path) -> bool:
    """Whether the audit schema exists and is at this package's version, so that runs can record."""
    if not has_audit(connection):
        return False
    return _latest(connection) == len(read_migrations(include_dir))


def pending_migrations(
    connection: Connection[Any], migrations: tuple[Migration, ...]
) -> tuple[Migration, ...]:
    """Those that the database has not had yet.

    Raises:
        BadInput: the database has had migrations that these files do not know.
    """
    if not has_audit(connection):
        return migrations
    latest = _latest(connection)
    if latest > len(migrations):
        raise BadInput(
            f"The audit schema is at version {latest}; this package knows {len(migrations)}.",
            next_step="Run the newer version of the package that was used here before.",
        )
    return migrations[latest:]


def migrate(connection: Connection[Any], migrations: tuple[Migration, ...]) -> None:
    """Apply migrations and record them. The caller opens the transaction."""
    for migration in migrations:
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO feature_store_audit.migration (version, name) VALUES (%s, %s)",
            (migration.version, migration.name),
        )


def _latest(connection: Connection[Any]) -> int:
    row = connection.execute(
        "SELECT coalesce(max(version), 0) FROM feature_store_audit.migration"
    ).fetchone()
    assert row is not None  # an aggregate
    latest: int = row[0]
    return latest
