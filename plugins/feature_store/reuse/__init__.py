"""Whether an earlier refresh can be used again, because nothing that it read has changed."""
