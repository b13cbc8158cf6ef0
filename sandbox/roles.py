"""The store's roles on an embedded server: owner, refresher, reader, reviewer, page."""

from __future__ import annotations

import tempfile
from pathlib import Path

from psycopg.conninfo import make_conninfo

from feature_store.declarations.store_profile import read_profile
from feature_store.schema.privileges.grants import KEPT, read_grants
from sandbox.home import ROOT
from sandbox.server import run_psql

OWNER = "feature_store_owner"
REFRESHER = "feature_store_refresher"
READER = "feature_store_reader"
REVIEWER = "feature_store_reviewer"
PAGE = "feature_store_page"


def grant_roles(conninfo: str, include_dir: Path = ROOT / "include", **names: str) -> str:
    """Create the roles and grant what they need, as the store's folder asks for.

    Args:
        conninfo: a superuser's, for a database that has the source tables.
        include_dir: the store's folder, with the file that grants or without it.
        names: of roles with other names than the default.

    Returns:
        The file's words.
    """
    if (include_dir / KEPT).exists():
        return run_psql(conninfo, include_dir / KEPT, **names)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / KEPT
        file.write_text(read_grants(include_dir))
        return run_psql(conninfo, file, **names)


def as_owner(conninfo: str, include_dir: Path) -> str:
    """The same database, as the role that creates a store."""
    return as_role(conninfo, f"{read_profile(include_dir).role_prefix}_owner")


def as_refresher(conninfo: str, include_dir: Path) -> str:
    """The same database, as the role that runs a store's DAG."""
    return as_role(conninfo, f"{read_profile(include_dir).role_prefix}_refresher")


def as_role(conninfo: str, role: str) -> str:
    """The same database, as another role."""
    return make_conninfo(conninfo, user=role)
