"""Imports once, in the process that forks the tasks, what every task would import again.

Airflow imports this as each of its components starts, if the folder is on Python's path. Great
Expectations alone costs seconds of CPU in each suite; a forked task has what its parent imported,
at no cost and without a copy in memory.

Only libraries: they change with an upgrade, after which everything is restarted anyway. The package
itself is imported by each task, so that a task never runs yesterday's code with today's files.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import import_module

__all__: list[str] = []  # nothing here overrides a setting of Airflow

LIBRARIES = (
    "great_expectations",
    "great_expectations.expectations.core.unexpected_rows_expectation",
    "airflow.providers.postgres.hooks.postgres",
    "psycopg.types.json",
    "sqlglot.dialects.postgres",
)


def forks_tasks(argv: Sequence[str]) -> bool:
    """Whether a command line, as in ``sys.argv``, is of a component that forks tasks."""
    return list(argv[1:2]) == ["scheduler"] or list(argv[1:3]) == ["celery", "worker"]


def preload(modules: Sequence[str] = LIBRARIES) -> None:
    """Import the modules. What cannot be imported is told, and left to the tasks that need it."""
    for module in modules:
        try:
            import_module(module)
        except Exception as error:
            # A scheduler that does not start would be worse than tasks that start slowly.
            logging.getLogger(__name__).warning("%s was not preloaded: %s", module, error)


if forks_tasks(sys.argv):
    preload()
