"""The judgement of history: what moved in the past, and whether it may."""
