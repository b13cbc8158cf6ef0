-- Relation:   bikes.outcomes_mv (B), the labels
-- Grain:      one row per count_id of A
-- Rows:       those of bikes.mornings_mv
-- As-of:      none: these are outcomes, for training only
-- Never sees: a feature. No feature may read this relation.
-- Refresh:    blocking. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW bikes.outcomes_mv AS
SELECT
    m.count_id,
    c.emptied_at IS NOT NULL AS ran_empty
FROM bikes.mornings_mv AS m
LEFT JOIN city.counts AS c ON m.count_id = c.count_id
ORDER BY m.count_id
WITH NO DATA;

CREATE UNIQUE INDEX outcomes_mv_uq ON bikes.outcomes_mv (count_id);

COMMENT ON MATERIALIZED VIEW bikes.outcomes_mv IS 'B: whether the station ran out of bikes that day. Never a feature.';
