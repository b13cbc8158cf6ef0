"""A contract function in the database: its text, its owner's rights, and its settings."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from feature_store.connection import Connection
from feature_store.relation_name import Name
from feature_store.text_format import difference

_PATH = "search_path=pg_catalog, pg_temp"


@dataclass(frozen=True)
class LiveFunction:
    """A function of the database.

    Attributes:
        body: its text between the quotes.
        definition: all of it, as the server describes it.
        is_definer: whether it runs with its owner's privileges.
        settings: what it sets while it runs; None if nothing.
    """

    body: str
    definition: str
    is_definer: bool
    settings: list[str] | None

    def is_as(self, body: str) -> bool:
        """Whether it has this text, and runs as the package's functions do."""
        return self.body == body and self.is_definer and self.settings == [_PATH]

    def difference(self, body: str) -> str:
        """Where it differs from the file's: in its text, or in how it runs."""
        if self.body != body:
            return difference(self.body, body, most=2)
        runs = "as its owner" if self.is_definer else "as whoever calls it"
        settings = ", ".join(self.settings or ["no setting of its own"])
        return f"It runs {runs}, with {settings}; the file's runs as its owner, with {_PATH}."


def live_function(connection: Connection, name: Name, arguments: str | None) -> LiveFunction | None:
    """Look a function up; None if there is none of that name and those types of arguments."""
    row = connection.execute(
        "SELECT p.prosrc, pg_get_functiondef(p.oid), p.prosecdef, p.proconfig "
        "FROM pg_catalog.pg_proc AS p "
        "INNER JOIN pg_catalog.pg_namespace AS n ON p.pronamespace = n.oid "
        "WHERE n.nspname = %s AND p.proname = %s AND oidvectortypes(p.proargtypes) = %s "
        "AND p.prokind = 'f'",
        (name.schema, name.relation, arguments),
    ).fetchone()
    return None if row is None else LiveFunction(*row)


def replace_code(connection: Connection, name: Name, arguments: str | None, create: str) -> None:
    """Replace a function or a view in the caller's transaction; who may call it still may.

    Raises:
        psycopg.Error: it cannot be replaced, such as a function that now gives other columns and
            that somebody's view calls.
    """
    try:
        with connection.transaction():
            connection.execute(f"CREATE OR REPLACE {create.removeprefix('CREATE ')}".encode())
    except psycopg.errors.InvalidFunctionDefinition:
        # It gives other columns than before, so it must be dropped and created.
        function = f"{name.quoted}({arguments})"
        grants = connection.execute(_GRANTS, {"function": function}).fetchall()
        connection.execute(f"DROP FUNCTION {function}".encode())
        connection.execute(create.encode())
        for (grant,) in grants:
            connection.execute(grant.encode())


_GRANTS = """
SELECT format(
    'GRANT EXECUTE ON FUNCTION %%s TO %%s%%s',
    %(function)s::text,
    g.grantee::regrole,
    CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' END
)
FROM pg_catalog.pg_proc AS p
CROSS JOIN LATERAL aclexplode(p.proacl) AS g
WHERE p.oid = to_regprocedure(%(function)s) AND g.grantee NOT IN (0, p.proowner)
"""
