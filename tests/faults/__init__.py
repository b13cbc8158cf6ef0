"""The fault campaign, `make faults`: nights in which everything goes wrong that can, one by one.

The database is a real server, every try of a task a real process of the DAG's own operators, which
can be killed, stopped and cut off. The scheduler alone is one of ours (`scheduler`), because
Airflow's own takes a minute a night; what only that can show is in ``tests/scheduler``.
"""
