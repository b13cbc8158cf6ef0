"""Who may do what: what each role needs, and whose code would run with whose rights."""
