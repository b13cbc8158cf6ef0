"""Breaking a store on purpose, to see that each breakage gives the one right verdict and mail."""
