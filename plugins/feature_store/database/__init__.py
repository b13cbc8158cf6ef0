"""Sessions, the catalog, locks, and what a stored query really calls."""
