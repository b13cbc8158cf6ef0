"""The store as its files and its record describe it; for the page and the command line."""
