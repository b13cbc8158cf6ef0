"""Plan and apply: making the database agree with the files, and checking that it does."""
