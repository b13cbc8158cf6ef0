"""Run the real DAG once, in this process, against the connection in the environment.

``python -m sandbox.dag_run YYYY-MM-DD`` runs it for that as-of day; exit code 0 if it succeeds.
"""

from __future__ import annotations

import sys
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DagRunState

from sandbox.home import ROOT

DAG_ID = "feature_store_refresh"


def load_dag() -> Any:
    """The DAG of this checkout.

    Raises:
        RuntimeError: Airflow cannot read it, and why.
    """
    bag = DagBag(str(ROOT / "dags"))
    if bag.import_errors:
        raise RuntimeError("\n".join(bag.import_errors.values()))
    return bag.dags[DAG_ID]


def main(as_of_day: str) -> int:
    """Run the DAG and return the exit code."""
    try:
        dag = load_dag()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    run = dag.test(run_conf={"as_of_day": as_of_day})
    return 0 if run.state == DagRunState.SUCCESS else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
