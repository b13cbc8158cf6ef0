"""Everything that decides whether a run may certify: suites, proofs, leak gates, history."""
