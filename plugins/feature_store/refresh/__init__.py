"""One relation: refresh it, or say why it need not be refreshed."""
