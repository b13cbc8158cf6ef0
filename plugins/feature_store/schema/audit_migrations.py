"""The audit schema's versioned migrations, ``sql/audit/NNNN_name.sql``, each run once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from feature_store.connection import Connection, one_value
from feature_store.declarations.files.text_file import PACKAGE_SQL
from feature_store.errors import BadInput
from feature_store.schema.object_states import has_audit

FOLDER = PACKAGE_SQL / "audit"
"""They are the package's own, the same for any store."""
# The step that added the column of digests; earlier steps have none.
_DIGESTS_SINCE = 11
_FILE = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True)
class Migration:
    """One step of the audit schema.

    Attributes:
        version: its number; steps are applied in this order, without gaps.
        name: what it adds.
        sql: its statements.
    """

    version: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """SHA-256 of the file, in hex."""
        return sha256(self.sql.encode()).hexdigest()


def read_migrations() -> tuple[Migration, ...]:
    """Read all migrations in order.

    Raises:
        BadInput: a file that is not called NNNN_name.sql, or a gap in the numbers.
    """
    migrations: list[Migration] = []
    for path in sorted(FOLDER.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if not match or int(match[1]) != len(migrations) + 1:
            raise BadInput(
                f"{path}: expected a migration called {len(migrations) + 1:04d}_name.sql."
            )
        migrations.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    return tuple(migrations)


def audit_is_current(connection: Connection) -> bool:
    """Whether the audit schema exists and is at this package's version, so that runs can record."""
    if not has_audit(connection):
        return False
    return _latest(connection) == len(read_migrations())


def pending_migrations(
    connection: Connection, migrations: tuple[Migration, ...]
) -> tuple[Migration, ...]:
    """The migrations that the database does not have yet.

    Raises:
        BadInput: the database has migrations that these files lack, or have with other content.
    """
    if not has_audit(connection):
        return migrations
    latest = _latest(connection)
    _require_unedited(connection, migrations[:latest])
    if latest > len(migrations):
        raise BadInput(
            f"The audit schema is at version {latest}; this package has only {len(migrations)} "
            "versions.",
            next_step="Use the newer version of the package that was used here before.",
        )
    return migrations[latest:]


def migrate(connection: Connection, migrations: tuple[Migration, ...]) -> None:
    """Apply migrations and record them. The caller opens the transaction."""
    for migration in migrations:
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO feature_store_audit.migration (version, name) VALUES (%s, %s)",
            (migration.version, migration.name),
        )
    if migrations and migrations[-1].version >= _DIGESTS_SINCE:
        connection.cursor().executemany(
            "UPDATE feature_store_audit.migration SET digest = %s WHERE version = %s",
            [(migration.digest, migration.version) for migration in migrations],
        )


def _require_unedited(connection: Connection, applied: Sequence[Migration]) -> None:
    """Refuse a file that differs from what was applied: the schema would not be known.

    Raises:
        BadInput: names the files.
    """
    if _latest(connection) < _DIGESTS_SINCE:
        return
    recorded: dict[int, str | None] = dict(
        connection.execute("SELECT version, digest FROM feature_store_audit.migration").fetchall()
    )
    edited = [
        f"{migration.version:04d}_{migration.name}.sql"
        for migration in applied
        if recorded.get(migration.version) not in (None, migration.digest)
    ]
    if edited:
        raise BadInput(
            f"Edited since they were applied to this database: {', '.join(edited)}, in {FOLDER}.",
            next_step="Restore the files of this version of the package. To change the schema, "
            "add a file with the next number.",
        )


def _latest(connection: Connection) -> int:
    latest: int = one_value(
        connection, "SELECT coalesce(max(version), 0) FROM feature_store_audit.migration"
    )
    return latest
