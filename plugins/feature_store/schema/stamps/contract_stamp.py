"""Contracts in the database: the stamp, and the check of file, stamp, rows and live relation.

Stamping writes a contract's rows and their hash to the database; a person does it. From then on the
rows, the hash and the live relation must agree. The database itself checks that
(``check_feature_contract``, ``assert_feature_contract``), so training code can check it, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from feature_store.connection import Connection, one_value
from feature_store.declarations.feature_sets import FeatureSet
from feature_store.errors import BadInput, ContractBroken, NotReady
from feature_store.schema.feature_logs.feature_log import make_log


@dataclass(frozen=True)
class ContractCheck:
    """What the database has of a set, compared with its file.

    Attributes:
        name: the set.
        relation: the live relation that it is bound to.
        file_hash: of the file's rows.
        stamped_n: rows when it was stamped; None if never stamped.
        stamped_hash: their hash; None if never stamped.
        live_n: rows in the database now.
        live_hash: their hash.
        problems: what is wrong, in words; empty if everything agrees.
    """

    name: str
    relation: str | None
    file_hash: str
    stamped_n: int | None
    stamped_hash: str | None
    live_n: int
    live_hash: str | None
    problems: tuple[str, ...]

    @property
    def result(self) -> str:
        """OK or MISMATCH."""
        return "MISMATCH" if self.problems else "OK"


def check(connection: Connection, feature_set: FeatureSet) -> ContractCheck:
    """Compare a set's file, stamp, rows and live relation. Reads only.

    Raises:
        NotReady: the governance tables are not there.
    """
    _require_governance(connection, feature_set)
    row = connection.execute(
        sql.SQL(
            "SELECT expected_n, expected_hash, computed_n, computed_hash, relation_name, problems "
            "FROM {}(%s)"
        ).format(sql.Identifier(feature_set.schema, "check_feature_contract")),
        (feature_set.name,),
    ).fetchone()
    if row is None:
        row = (None, None, 0, None, None, [])
    stamped_n, stamped_hash, live_n, live_hash, relation, problems = row
    return ContractCheck(
        name=feature_set.name,
        relation=relation,
        file_hash=feature_set.hash,
        stamped_n=stamped_n,
        stamped_hash=stamped_hash,
        live_n=live_n,
        live_hash=live_hash,
        problems=(
            *_stamp_problems(feature_set, stamped_n, stamped_hash, live_n, live_hash),
            *_binding_problems(connection, feature_set),
            *problems,
        ),
    )


def assert_contract(connection: Connection, feature_set: FeatureSet) -> ContractCheck:
    """Check a set and fail if anything disagrees.

    Raises:
        ContractBroken: something disagrees; the message names all of it.
        NotReady: the governance tables are not there.
    """
    return _unbroken(
        connection,
        feature_set,
        readers="the rows that the views have now; assert_feature_contract refuses them.",
        next_step=f"Run `bin/feature-store check-contract {feature_set.name}`. Fix the "
        "relation; or, if the change is intended, stamp the contract and train again.",
    )


def _unbroken(
    connection: Connection, feature_set: FeatureSet, *, readers: str, next_step: str
) -> ContractCheck:
    checked = check(connection, feature_set)
    if checked.problems:
        raise ContractBroken(
            f"The contract of {feature_set.name} is broken:",
            items=checked.problems,
            readers=readers,
            next_step=next_step,
        )
    return checked


def stamp(connection: Connection, feature_set: FeatureSet, *, replace: bool) -> ContractCheck:
    """Write a set's rows and their hash to the database, for a person.

    The first set of a schema that is stamped becomes its current one.

    Args:
        connection: a session in autocommit mode, as the owner of the governance tables.
        feature_set: what to stamp.
        replace: allow a stamp that differs from the one before.

    Raises:
        BadInput: the set has been stamped with other rows before, and replace is false; or its
            feature log cannot follow.
        ContractBroken: the live relation does not fit the set; nothing is stamped.
        NotReady: the governance tables are not there, or something hangs on the training view.
    """
    _require_governance(connection, feature_set)
    with connection.transaction():
        before = check(connection, feature_set)
        if not replace and before.stamped_hash not in (None, feature_set.hash):
            raise BadInput(
                f"{feature_set.name} was stamped with {before.stamped_n} rows and the hash "
                f"{before.stamped_hash}; the file has {len(feature_set.features)} rows and the "
                f"hash {feature_set.hash}. Models trained on the old rows would break.",
                readers="the contract as it was stamped before.",
                next_step="Give the changed set a new name, or stamp it with --replace.",
            )
        _write(connection, feature_set)
        checked = _unbroken(
            connection,
            feature_set,
            readers="what they had before; nothing was stamped.",
            next_step="Fix the relation, or the contract's file: integer_columns names the "
            "features of dtype numeric whose source column is a whole number. Then stamp it.",
        )
        make_log(connection, feature_set)
        return checked


def _write(connection: Connection, feature_set: FeatureSet) -> None:
    registry = sql.Identifier(feature_set.registry)
    set_id = one_value(
        connection,
        sql.SQL(
            "INSERT INTO {}.feature_set (name, features_hash, n_features) VALUES (%s, %s, %s) "
            "ON CONFLICT (name) DO UPDATE SET features_hash = excluded.features_hash, "
            "n_features = excluded.n_features RETURNING set_id"
        ).format(registry),
        (feature_set.name, feature_set.hash, len(feature_set.features)),
    )
    connection.execute(
        sql.SQL("DELETE FROM {}.feature_contract WHERE set_id = %s").format(registry), (set_id,)
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "INSERT INTO {}.feature_contract (set_id, ordinal, feature_name, dtype, expr_sql, "
                "leakage_rule, is_nullable, description) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
            ).format(registry),
            [
                (set_id, f.ordinal, f.name, f.dtype, f.expr_sql, f.leakage_rule, f.is_nullable,
                 f.description)
                for f in feature_set.features
            ],
        )  # fmt: skip
    connection.execute(
        sql.SQL(
            "INSERT INTO {}.feature_set_binding "
            "VALUES (%s, format('%%I.%%I', %s::text, %s::text), %s, %s) "
            "ON CONFLICT (set_id) DO UPDATE SET relation_name = excluded.relation_name, "
            "other_columns = excluded.other_columns, integer_columns = excluded.integer_columns"
        ).format(registry),
        (
            set_id,
            feature_set.relation.schema,
            feature_set.relation.relation,
            list(feature_set.other_columns),
            list(feature_set.integer_columns),
        ),
    )
    # Each schema has its own active set.
    connection.execute(
        sql.SQL(
            "INSERT INTO {0}.feature_set_current (set_id) "
            "SELECT s.set_id FROM {0}.feature_set AS s WHERE s.name = %s AND s.set_id = %s "
            "ON CONFLICT DO NOTHING"
        ).format(sql.Identifier(feature_set.schema)),
        (feature_set.name, set_id),
    )


def _stamp_problems(
    feature_set: FeatureSet,
    stamped_n: int | None,
    stamped_hash: str | None,
    live_n: int,
    live_hash: str | None,
) -> list[str]:
    if stamped_hash is None:
        return [f"it has not been stamped: bin/feature-store stamp-contract {feature_set.name}"]
    if (stamped_n, stamped_hash) != (live_n, live_hash):
        return [
            f"its rows in the database have changed since the stamp: expected n={stamped_n} "
            f"hash={stamped_hash}, got n={live_n} hash={live_hash}"
        ]
    if stamped_hash != feature_set.hash:
        return [
            f"its file has changed since the stamp: the stamp is {stamped_hash}, "
            f"the file {feature_set.hash}"
        ]
    return []


def _binding_problems(connection: Connection, feature_set: FeatureSet) -> list[str]:
    # The hash does not cover the binding, so compare it with the file itself.
    row = connection.execute(
        sql.SQL(
            "SELECT b.relation_name = format('%%I.%%I', %s::text, %s::text), "
            "b.other_columns = %s, b.integer_columns = %s "
            "FROM {0}.feature_set_binding AS b INNER JOIN {0}.feature_set AS s "
            "ON b.set_id = s.set_id WHERE s.name = %s"
        ).format(sql.Identifier(feature_set.registry)),
        (
            feature_set.relation.schema,
            feature_set.relation.relation,
            list(feature_set.other_columns),
            list(feature_set.integer_columns),
            feature_set.name,
        ),
    ).fetchone()
    if row is None:
        return []
    parts = ("relation", "other_columns", "integer_columns")
    return [
        f"{part} in the database is not as in the file"
        for part, same in zip(parts, row, strict=True)
        if not same
    ]


def _require_governance(connection: Connection, feature_set: FeatureSet) -> None:
    there = one_value(
        connection,
        "SELECT to_regprocedure(%s) IS NOT NULL",
        (f'"{feature_set.schema}".check_feature_contract(text)',),
    )
    if not there:
        raise NotReady(
            f"The schema {feature_set.schema} has no contract functions.",
            next_step="Run `bin/feature-store apply`.",
        )
