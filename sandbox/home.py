"""Where the sandbox keeps its things: folders that only their owner may enter.

Everything is in ``.run`` in the clone, except the servers' data if root runs this: PostgreSQL
refuses to run as root, and the system user that it then uses may not be able to enter the clone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".run"
_CLONE = hashlib.sha256(os.fsencode(ROOT)).hexdigest()[:12]
SERVERS = HOME if os.geteuid() else Path(f"/var/lib/feature-store-sandbox-{_CLONE}")
POSTGRES = SERVERS / "postgres"
AIRFLOW = HOME / "airflow"
LOG = HOME / "last_run.log"
MAILS = HOME / "mails"
REPORTS = HOME / "reports"
ENVIRONMENT = HOME / "environment"
OWNER_ENVIRONMENT = HOME / "owner"
"""The same with the owner's login, who applies and stamps."""
CONFIG = ROOT / "config"


def make_home(folder: Path = HOME) -> None:
    """Make the folder; only its owner may read what this process and its children write."""
    os.umask(0o077)
    folder.mkdir(parents=True, exist_ok=True)
    if HOME.exists():
        HOME.chmod(0o700)  # an earlier version let others in


@contextmanager
def only_one(folder: Path = HOME) -> Iterator[int]:
    """Hold the lock of the folder, in which one Airflow runs at a time.

    Yields:
        The lock's file descriptor, for processes that are to keep it as long as they live.

    Raises:
        ValueError: another process holds it.
    """
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                "Another make run, or make airflow, is at work here; wait until it is done, or "
                "end it."
            ) from None
        yield file.fileno()


def airflow_settings(home: Path) -> dict[str, str]:
    """The environment variables with which Airflow finds the package, and those that we ship.

    Args:
        home: the folder for Airflow's own database and logs.
    """
    return {
        **shipped_settings(),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(CONFIG), str(ROOT)]),
    }


def shipped_settings() -> dict[str, str]:
    """The settings of Airflow in ``config/airflow.env``, which production uses too."""
    lines = (CONFIG / "airflow.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def airflow_environment(connection: str, include_dir: Path) -> dict[str, str]:
    """The whole environment for Airflow on the embedded database.

    Args:
        connection: the Airflow connection ``feature_store``, as JSON.
        include_dir: the store's folder.
    """
    # The person's environment may have settings of another Airflow: ignore them.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW_")}
    for ours in ("CONN_ID", "SMTP_CONN_ID", "NOTIFY_CONN_ID", "MAIL_TO", "MAIL_FROM", "LINKS_BASE"):
        inherited.pop(f"FEATURE_STORE_{ours}", None)
    return {**inherited, **sandbox_settings(connection, include_dir)}


def sandbox_settings(connection: str, include_dir: Path) -> dict[str, str]:
    """The part of that environment that belongs to the sandbox."""
    return {
        **airflow_settings(AIRFLOW),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{AIRFLOW / 'airflow.db'}",
        "AIRFLOW_CONN_FEATURE_STORE": connection,
        "FEATURE_STORE_INCLUDE_DIR": str(include_dir),
        "FEATURE_STORE_REPORT_DIR": str(REPORTS),
    }
