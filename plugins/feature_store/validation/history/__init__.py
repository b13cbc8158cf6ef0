"""The history check: which old days changed, and whether they may."""
