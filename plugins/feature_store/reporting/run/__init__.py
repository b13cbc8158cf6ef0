"""One reader of a run: why it failed, what it found, what is certified, what readers have."""
