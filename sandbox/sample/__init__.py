"""A deterministic sample of realistic Norwegian iPhone listings, AI rows and image rows."""
