"""Who may do what with a relation, read to be granted on another that takes its place."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from psycopg import sql

from feature_store.connection import Connection, one_value
from feature_store.relation_name import Name

# A statement, and what it keeps, in words.
Step = tuple[sql.Composed, str]


def privileges(
    connection: Connection,
    old: int,
    new: sql.Composable,
    columns: Collection[str] | None = None,
) -> Iterator[Step]:
    """Read an old relation's privileges, to grant exactly these on a new one.

    Default grants of the new one are revoked.

    Args:
        connection: a pinned session.
        old: the old relation's OID.
        new: the new one.
        columns: those that it has; None: all that the old one has.
    """
    if not _as_born(connection, old):
        yield from _revokes(connection, old, new)
    yield from granted(connection, old, new, columns)


def granted(
    connection: Connection,
    old: int,
    new: sql.Composable,
    columns: Collection[str] | None = None,
) -> Iterator[Step]:
    """As `privileges`, besides what the new one is granted by default."""
    as_born = _as_born(connection, old)
    for column, grantee, privilege, grantable in connection.execute(
        """
        SELECT NULL, p.grantee, p.privilege_type, p.is_grantable
        FROM pg_catalog.pg_class AS c
        CROSS JOIN aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS p
        WHERE c.oid = %s AND NOT %s
        UNION ALL
        SELECT a.attname, p.grantee, p.privilege_type, p.is_grantable
        FROM pg_catalog.pg_attribute AS a
        CROSS JOIN aclexplode(a.attacl) AS p
        WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
        """,
        (old, as_born, old),
    ).fetchall():
        if column and columns is not None and column not in columns:
            continue
        what: sql.Composable = sql.SQL(privilege)
        if column:
            what += sql.SQL(" ({})").format(sql.Identifier(column))
        yield _grant(new, what, _role(connection, grantee), grantable)


def _as_born(connection: Connection, relation: int) -> bool:
    """Whether nobody has granted anything on it, neither by hand nor by default."""
    born: bool = one_value(
        connection,
        "SELECT relacl IS NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_default_acl "
        "WHERE defaclobjtype = 'r') FROM pg_catalog.pg_class WHERE oid = %s",
        (relation,),
    )
    return born


def _grant(
    new: sql.Composable, privilege: sql.Composable, role: sql.Composable, grantable: bool
) -> Step:
    option = sql.SQL(" WITH GRANT OPTION" if grantable else "")
    grant = sql.SQL("GRANT {} ON {} TO {}{}").format(privilege, new, role, option)
    return grant, f"the privilege {privilege.as_string()} of {role.as_string()}"


def _revokes(connection: Connection, old: int, new: sql.Composable) -> Iterator[Step]:
    roles = connection.execute(
        "SELECT d.grantee FROM pg_catalog.pg_default_acl AS a "
        "CROSS JOIN aclexplode(a.defaclacl) AS d WHERE a.defaclobjtype = 'r' "
        "UNION SELECT relowner FROM pg_catalog.pg_class WHERE oid = %s",
        (old,),
    ).fetchall()
    for (grantee,) in roles:
        role = _role(connection, grantee)
        yield sql.SQL("REVOKE ALL ON {} FROM {}").format(new, role), "its privileges"


def _role(connection: Connection, oid: int) -> sql.Composable:
    if not oid:
        return sql.SQL("PUBLIC")
    return sql.Identifier(one_value(connection, "SELECT pg_get_userbyid(%s)", (oid,)))


def given_by_default(connection: Connection, name: Name, schema: str) -> Iterator[Step]:
    """Read what a new relation is granted by default in its own schema, for one made in another.

    Args:
        connection: a pinned session, as the role that creates it.
        name: the new relation.
        schema: where it is made.
    """
    new = sql.Identifier(schema, name.relation)
    for grantee, privilege, grantable in connection.execute(
        "SELECT p.grantee, p.privilege_type, p.is_grantable FROM pg_catalog.pg_default_acl AS d "
        "INNER JOIN pg_catalog.pg_namespace AS n ON d.defaclnamespace = n.oid "
        "CROSS JOIN aclexplode(d.defaclacl) AS p WHERE d.defaclobjtype = 'r' "
        "AND n.nspname = %s AND pg_get_userbyid(d.defaclrole) = current_user",
        (name.schema,),
    ).fetchall():
        yield _grant(new, sql.SQL(privilege), _role(connection, grantee), grantable)
