"""Reading a store's files: text, TOML, and SQL with its header; not what they declare."""
