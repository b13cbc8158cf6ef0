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


def airflow_settings(home: Path) -> dict[str, str]:
    """The environment variables with which Airflow finds the package.

    Args:
        home: the folder for Airflow's own database and logs.
    """
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT)]),
    }


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
