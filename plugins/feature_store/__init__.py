"""Refresh, prove and govern a leak-safe PostgreSQL feature store.

The SQL files in ``include/sql`` say what the store is; this package makes the database agree
with them (`schema`), refreshes them on a schedule (`operators`), holds them to what is declared
(`validation`) and tells people (`reporting`). The DAG is in ``dags/feature_store_refresh.py``.

Rooms stand on floors, see ``[tool.importlinter]`` in ``pyproject.toml``: each imports from below.
"""
