"""Breaks a store on purpose, to check that each breakage gives the right verdict and mail."""
