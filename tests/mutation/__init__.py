"""Mutation: one mistake at a time put into a query, and whether the night's proof sees it.

`make mutation` makes every mistake that `mistakes` knows at every place where it fits, in every
relation and in every specification, and lets the product's own comparison judge. Whoever survives
on all stores is a hole in the proof, or is argued harmless in ``equivalent.toml``.
"""
