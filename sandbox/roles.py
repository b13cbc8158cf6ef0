"""The store's roles on an embedded server: who applies, runs the DAG, reads, accepts, looks."""

from __future__ import annotations

from psycopg.conninfo import make_conninfo

from sandbox.home import ROOT
from sandbox.server import run_psql

OWNER = "feature_store_owner"
REFRESHER = "feature_store_refresher"
READER = "feature_store_reader"
REVIEWER = "feature_store_reviewer"
PAGE = "feature_store_page"


def grant_roles(conninfo: str, **names: str) -> str:
    """Create the roles and grant what they need, as ``include/roles.sql`` says. Gives its words.

    Args:
        conninfo: a superuser's, for a database that has the source tables.
        names: of roles called otherwise than by default.
    """
    return run_psql(conninfo, ROOT / "include" / "roles.sql", **names)


def as_role(conninfo: str, role: str) -> str:
    """The same database, as another role."""
    return make_conninfo(conninfo, user=role)
