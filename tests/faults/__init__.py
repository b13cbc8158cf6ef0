"""The fault campaign, `make faults`: nights in which everything goes wrong that can, one by one.

The database is a real server. Every try of a task is a real process with the DAG's own operators,
which can be killed, stopped and cut off. Only the scheduler is one of ours (`night`), because
Airflow's own takes a minute a night. What only Airflow's can show is in ``tests/scheduler``.
"""
