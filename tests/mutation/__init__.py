"""Mutation: put one mistake at a time into a query, and see whether the night's proof finds it.

`make mutation` makes every mistake that `mistakes` knows at every place where it fits, in every
relation and in every specification, and lets the product's own comparison judge. A mutant that
survives on all stores is a hole in the proof, unless ``equivalent.toml`` argues that it is
harmless.
"""
