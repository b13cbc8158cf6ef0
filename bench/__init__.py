"""The benchmark: the store against a naive reference and a floor, at any size.

A development tool, on a scratch database of its own; production loads nothing from here.
"""
