"""What a person has stamped, against what is there: contracts and the inventory of proofs."""
