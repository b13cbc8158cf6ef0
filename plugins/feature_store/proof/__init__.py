"""Proofs: each relation's rows compared with its specification."""
