-- Specification: each count of E-clean, and which share of the docks has a bike
-- Relation:      bikes.morning_load_v1 (load)
-- Key:           count_id
-- Route:         CASE gives no share without docks.
SELECT
    e.count_id,
    e.counted_at,
    e.station_id,
    CASE WHEN e.docks <> 0 THEN e.bikes::float8 / e.docks END AS fill_share
FROM bikes.morning_features_clean_mv AS e
