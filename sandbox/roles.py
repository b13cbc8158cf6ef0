"""The store's roles on an embedded server: owner, refresher, reader, reviewer, page."""

from __future__ import annotations

from pathlib import Path

from psycopg.conninfo import make_conninfo

from sandbox.home import ROOT
from sandbox.server import run_psql

OWNER = "feature_store_owner"
REFRESHER = "feature_store_refresher"
READER = "feature_store_reader"
REVIEWER = "feature_store_reviewer"
PAGE = "feature_store_page"
_FILE = "roles.sql"


def has_roles(include_dir: Path) -> bool:
    """Whether a store's folder has a file that grants; without one, one role does everything."""
    return (include_dir / _FILE).exists()


def grant_roles(conninfo: str, include_dir: Path = ROOT / "include", **names: str) -> str:
    """Create the roles and grant what they need, as the folder's ``roles.sql`` says.

    Args:
        conninfo: a superuser's, for a database that has the source tables.
        include_dir: the store's folder.
        names: of roles with other names than the default.

    Returns:
        The file's words.
    """
    return run_psql(conninfo, include_dir / _FILE, **names)


def as_role(conninfo: str, role: str) -> str:
    """The same database, as another role."""
    return make_conninfo(conninfo, user=role)
