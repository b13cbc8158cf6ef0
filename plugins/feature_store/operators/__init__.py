"""The DAG's operators: one run, from prepare to verdict."""
