"""Feature logs and training views in the database."""
