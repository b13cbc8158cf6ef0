"""What the page shows of features: their lists, profiles, and what was served of them."""
