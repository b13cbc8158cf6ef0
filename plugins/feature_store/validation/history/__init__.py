"""The history check: which past days changed, and whether they may."""
