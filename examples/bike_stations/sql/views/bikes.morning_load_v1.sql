-- Relation:   bikes.morning_load_v1 (load), how full stations are
-- Grain:      one row per count_id of E-clean
-- As-of:      counted_at (t0)
-- Never sees: a flagged count
-- Refresh:    never: a plain view
CREATE VIEW bikes.morning_load_v1 AS
SELECT
    e.count_id,
    e.counted_at,
    e.station_id,
    e.bikes / nullif(e.docks, 0)::float8 AS fill_share
FROM bikes.morning_features_clean_mv AS e;

COMMENT ON VIEW bikes.morning_load_v1 IS 'How full each station is at its morning count.';
COMMENT ON COLUMN bikes.morning_load_v1.fill_share IS 'Bikes / docks; NULL without docks.';
