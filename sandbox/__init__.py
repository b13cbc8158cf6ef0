"""A store without a database of one's own: a server, sample data, Airflow, a mailbox, breakages.

Production loads nothing of it; the compose stack's own database is made with `sources.sql`.
"""
