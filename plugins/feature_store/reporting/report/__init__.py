"""The report of a run: one HTML file, from the audit tables."""
