"""Refresh, prove and govern a leak-safe PostgreSQL feature store.

The SQL files in ``include/sql`` say what the store is; this package makes the database agree
with them (`plan`, `apply`), refreshes them on a schedule (`refresh`, `operators`) and holds the
result to its contract (`contracts`). The DAG is in ``dags/feature_store_refresh.py``.
"""
