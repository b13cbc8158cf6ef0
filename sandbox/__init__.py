"""A store to try out: a database server, sample data, Airflow, a mailbox, breakages.

Production does not use it; only the compose stack's own database is made with `sources.sql`.
"""
