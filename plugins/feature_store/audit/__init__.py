"""The audit schema: runs, refreshes, row versions, retention, and the lease that guards them."""
