"""Where the sandbox keeps its things: one folder, safe to delete after `make stop`."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".run"
POSTGRES = HOME / "postgres"
AIRFLOW = HOME / "airflow"
LOG = HOME / "last_run.log"
ENVIRONMENT = HOME / "environment"


def airflow_environment(connection: str) -> dict[str, str]:
    """The environment in which Airflow finds the package and the embedded database.

    Args:
        connection: the Airflow connection ``feature_store``, as JSON.
    """
    return {
        **os.environ,
        "AIRFLOW_HOME": str(AIRFLOW),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW_CONN_FEATURE_STORE": connection,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT)]),
    }
