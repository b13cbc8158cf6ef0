"""Everything a first run needs without a database of one's own: source tables and sample data.

Nothing in here is loaded in production.
"""
