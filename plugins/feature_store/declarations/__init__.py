"""What the files of a store's folder say. Opens no connection."""
