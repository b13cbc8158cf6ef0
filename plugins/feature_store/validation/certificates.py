"""Whether relations may be read now, as whoever asks the database is answered.

The rule is one function of the database, ``certificates``. ``require_certified`` raises what it
says, and the page, status, mails and reports tell it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from feature_store.connection import Connection, one_value

# Of layers that were altered all rows are looked at, which takes seconds if there are many.
_PATIENCE = "5s"
_NO_TIME = "what was altered has too many rows to look at in time"


@dataclass(frozen=True)
class Certificate:
    """What the database answers about a relation.

    Attributes:
        relation: its name, as it was asked for.
        refusal: why it may not be read, in words; None: it may.
        is_known: whether it could be looked at. Somebody may hold a lock.
        has_layers: whether it is made of rows that runs certify.
    """

    relation: str
    refusal: str | None
    is_known: bool = True
    has_layers: bool = True

    @property
    def is_readable(self) -> bool | None:
        """Whether it may be read; None: not known at the moment."""
        return self.refusal is None if self.is_known else None


def may_ask(connection: Connection) -> bool:
    """Whether the database has the function, and the session's role may call it."""
    may: bool = one_value(
        connection,
        "SELECT has_function_privilege("
        "to_regprocedure('feature_store_audit.certificates(text[])'), 'EXECUTE') IS TRUE",
    )
    return may


def read_certificates(connection: Connection, relations: Collection[str]) -> dict[str, Certificate]:
    """Ask about relations. Waits for no lock, and at most seconds for their rows.

    Args:
        connection: a session that `may_ask`.
        relations: their names, quoted where they must be.

    Returns:
        One for each, by its name.
    """
    try:
        with (
            connection.transaction(force_rollback=True),
            connection.cursor(row_factory=class_row(Certificate)) as cursor,
        ):
            cursor.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(_PATIENCE))
            cursor.execute(
                "SELECT c.relation, c.refusal, c.is_known, c.has_layers "
                "FROM feature_store_audit.certificates(%s) AS c",
                (list(relations),),
            )
            return {certificate.relation: certificate for certificate in cursor}
    except psycopg.errors.QueryCanceled:
        return {name: Certificate(name, _NO_TIME, is_known=False) for name in relations}


def asked_for(connection: Connection, sets: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """What a set's readers read: its relation, where its t0 stands, and what has its labels.

    Args:
        connection: a session that `may_ask`.
        sets: the relation of each feature set, by the set's name.
    """
    asked = {name: [relation] for name, relation in sets.items()}
    for name, relation in connection.execute(
        "SELECT w.feature_set, w.relation FROM feature_store_audit.read_with(%s) AS w "
        "ORDER BY w.feature_set, w.relation",
        (list(sets),),
    ):
        asked[name].append(relation)
    return {name: tuple(relations) for name, relations in asked.items()}


def refused_first(certificates: Iterable[Certificate]) -> Certificate:
    """Of what a set's readers read, the answer that they get; at least one is given."""
    return min(certificates, key=lambda c: (c.refusal is None, not c.is_known))


def read_stamped_sets(connection: Connection) -> dict[str, str]:
    """The relation of each stamped feature set, by the set's name, as the registry has them."""
    row = connection.execute(
        "SELECT s.governed_schemas[1], to_regclass(format("
        "'%I.feature_set_binding', s.governed_schemas[1])) IS NOT NULL "
        "FROM feature_store_audit.store AS s"
    ).fetchone()
    registry, is_there = row or ("", False)
    if not is_there:
        return {}
    return dict(
        connection.execute(
            sql.SQL(
                "SELECT s.name, b.relation_name FROM {0}.feature_set AS s "
                "INNER JOIN {0}.feature_set_binding AS b ON s.set_id = b.set_id ORDER BY s.name"
            ).format(sql.Identifier(registry))
        ).fetchall()
    )
