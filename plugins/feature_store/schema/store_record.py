"""The one store that a database has, as ``apply`` recorded it."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path

from psycopg import sql
from psycopg.rows import class_row

from feature_store.connection import Connection, one_value
from feature_store.declarations.store_profile import StoreProfile, read_profile
from feature_store.declarations.suites import Check, read_suites, suite_of
from feature_store.errors import BadInput, NotReady


@dataclass(frozen=True)
class StoreRecord:
    """What the record says about the store.

    Attributes:
        name, title, dag_id, governed_schemas, key: as `StoreProfile` has them.
        proof_suite: the suite that checks specifications.
    """

    name: str
    title: str
    dag_id: str
    governed_schemas: list[str]
    key: str
    proof_suite: str

    @property
    def registry(self) -> str:
        """The schema whose tables hold all feature sets."""
        return self.governed_schemas[0]


def record_of(profile: StoreProfile, include_dir: Path) -> StoreRecord:
    """What the record should say, by the files.

    Raises:
        BadInput: ``suites.toml`` cannot be used.
    """
    return StoreRecord(
        name=profile.name,
        title=profile.title,
        dag_id=profile.dag_id,
        governed_schemas=profile.governed_schemas,
        key=profile.key,
        proof_suite=suite_of(include_dir, Check.SPECIFICATIONS),
    )


def recorded(connection: Connection) -> StoreRecord | None:
    """What the record says of the store; None before the first ``apply`` of this version."""
    if not one_value(connection, "SELECT to_regclass('feature_store_audit.store') IS NOT NULL"):
        return None
    with connection.cursor(row_factory=class_row(StoreRecord)) as cursor:
        return cursor.execute(
            "SELECT s.name, s.title, s.dag_id, s.governed_schemas, s.key, s.proof_suite "
            "FROM feature_store_audit.store AS s"
        ).fetchone()


def leading_column(connection: Connection) -> str:
    """The first column of sample rows; empty: none."""
    store = recorded(connection)
    return store.key if store else ""


def check_store(connection: Connection, profile: StoreProfile) -> None:
    """Refuse a database that has another store, and a schema name that must be quoted.

    Raises:
        BadInput: a governed schema's name is an SQL keyword.
        NotReady: the database has another store, or another DAG keeps it.
    """
    quoted = connection.execute(
        "SELECT s FROM unnest(%s::text[]) AS s WHERE quote_ident(s) <> s",
        (profile.governed_schemas,),
    ).fetchall()
    if quoted:
        raise BadInput(
            f"The schema {quoted[0][0]} must be quoted in SQL, because it is a word of "
            "PostgreSQL's.",
            next_step="Give it another name in store.toml (governed_schemas).",
        )
    refuse_another(connection, profile)


def refuse_another(connection: Connection, profile: StoreProfile) -> None:
    """Refuse a database that has another store, or that another DAG keeps. Reads only.

    Raises:
        NotReady: it does.
    """
    known = recorded(connection)
    if known is None:
        return
    if known.name != profile.name:
        problem = (
            f"This database has the store {known.name}, of the DAG {known.dag_id}; these files are "
            f"of the store {profile.name}."
        )
        renamed, column, value = "store", "name", profile.name
    elif known.dag_id != profile.dag_id:
        problem = (
            f"The DAG {known.dag_id} keeps the store of this database; these files are of the DAG "
            f"{profile.dag_id}."
        )
        renamed, column, value = "DAG", "dag_id", profile.dag_id
    else:
        return
    rename = sql.SQL("UPDATE feature_store_audit.store SET {} = {}")
    command = rename.format(sql.Identifier(column), value).as_string()
    raise NotReady(
        problem,
        readers="what they had before.",
        next_step=f"Give each {renamed} its own database (FEATURE_STORE_CONN_ID, or conn_id in "
        f"its DAG file). Or, if the {renamed} was only renamed, as the owner: {command}",
    )


def another_store(connection: Connection, include_dir: Path) -> NotReady | None:
    """Why this database is not the folder's; None: it is, or the folder cannot tell."""
    try:
        refuse_another(connection, read_profile(include_dir))
    except NotReady as refusal:
        return refusal
    except BadInput:
        pass  # told by prepare
    return None


def record_store(connection: Connection, record: StoreRecord) -> None:
    """Record what the files say. The caller opens the transaction, as the owner."""
    connection.execute(
        "INSERT INTO feature_store_audit.store "
        "(name, title, dag_id, governed_schemas, key, proof_suite) "
        "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (only_one) DO UPDATE "
        "SET title = excluded.title, dag_id = excluded.dag_id, key = excluded.key, "
        "governed_schemas = excluded.governed_schemas, proof_suite = excluded.proof_suite",
        astuple(record),
    )


def suite_changes(
    connection: Connection, include_dir: Path
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The folder's suites that certification does not require, and those it requires besides.

    Both are empty before there is a record of what it requires.

    Raises:
        BadInput: ``suites.toml`` cannot be used.
    """
    known = "SELECT to_regclass('feature_store_audit.required_suite') IS NOT NULL"
    if not one_value(connection, known):
        return (), ()
    rows = connection.execute(
        "SELECT suite FROM feature_store_audit.required_suite ORDER BY suite"
    ).fetchall()
    required, suites = [suite for (suite,) in rows], read_suites(include_dir)
    return (
        tuple(suite for suite in suites if suite not in required),
        tuple(suite for suite in required if suite not in suites),
    )


def require_suites(connection: Connection, include_dir: Path, *, is_first: bool) -> None:
    """Require all the folder's suites for certification; in a new record, no others.

    One that is no longer in the folder stays required: only a person takes it away.
    """
    if is_first:
        connection.execute("DELETE FROM feature_store_audit.required_suite")
    connection.execute(
        "INSERT INTO feature_store_audit.required_suite SELECT s FROM unnest(%s::text[]) AS s "
        "ON CONFLICT (suite) DO NOTHING",
        (list(read_suites(include_dir)),),
    )
