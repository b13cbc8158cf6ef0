-- Specification: each count of A, and whether the station ran out of bikes after it
-- Relation:      bikes.outcomes_mv (B)
-- Key:           count_id
-- Route:         counts the known moments, instead of asking whether there is one.
SELECT
    m.count_id,
    count(c.emptied_at) > 0 AS ran_empty
FROM bikes.mornings_mv AS m
LEFT JOIN city.counts AS c ON m.count_id = c.count_id
GROUP BY m.count_id
