"""Benchmarks of the store, run on demand."""
