"""The store's page in Airflow: a small application that reads the audit tables and shows them."""
