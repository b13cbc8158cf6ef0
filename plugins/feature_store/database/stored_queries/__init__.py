"""Queries as the server keeps them: what they read, what they run, and on what they depend."""
