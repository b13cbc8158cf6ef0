"""The leak gates: what the catalog says of a feature set, and whether it may see the future."""
