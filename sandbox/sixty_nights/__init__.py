"""Sixty nights of a store whose sources live: what was served, and what is told of it later."""
