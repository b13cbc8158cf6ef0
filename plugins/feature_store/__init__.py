"""Refresh, prove and govern a leak-safe PostgreSQL feature store.

The SQL files in ``include/sql`` define the store. This package makes the database agree with them
(`schema`), refreshes the relations on a schedule (`operators`), checks them (`validation`) and
tells people (`reporting`). The DAG is in ``dags/feature_store_refresh.py``.

Packages import only from the floors below them: see ``[tool.importlinter]`` in ``pyproject.toml``.
"""

__version__ = "0.19.0"
