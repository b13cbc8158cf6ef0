"""What apply would do, in data and in words; what it refuses; and a rehearsal of it."""
