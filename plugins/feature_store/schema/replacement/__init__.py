"""Replacing relations by name: built beside the old ones, then swapped with all on top of them."""
