"""Where the sandbox keeps its things: one folder, safe to delete after `make stop`."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".run"
POSTGRES = HOME / "postgres"
AIRFLOW = HOME / "airflow"
LOG = HOME / "last_run.log"
MAILS = HOME / "mails"
REPORTS = HOME / "reports"
ENVIRONMENT = HOME / "environment"
CONFIG = ROOT / "config"


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


def airflow_environment(connection: str) -> dict[str, str]:
    """The whole environment for Airflow on the embedded database.

    Args:
        connection: the Airflow connection ``feature_store``, as JSON.
    """
    # Whoever tries this may have an Airflow of his own in his environment: nothing of it is used.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW_")}
    for ours in ("CONN_ID", "SMTP_CONN_ID", "MAIL_TO", "MAIL_FROM", "LINKS_BASE"):
        inherited.pop(f"FEATURE_STORE_{ours}", None)
    return {**inherited, **sandbox_settings(connection)}


def sandbox_settings(connection: str) -> dict[str, str]:
    """What of that environment is the sandbox's own."""
    return {
        **airflow_settings(AIRFLOW),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{AIRFLOW / 'airflow.db'}",
        "AIRFLOW_CONN_FEATURE_STORE": connection,
        "FEATURE_STORE_REPORT_DIR": str(REPORTS),
    }
