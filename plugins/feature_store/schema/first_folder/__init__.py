"""The first folder of a store that somebody built by hand: read from the catalog, written down."""
