"""Replaces relations by name: builds them beside the old ones, then swaps them all at once."""
