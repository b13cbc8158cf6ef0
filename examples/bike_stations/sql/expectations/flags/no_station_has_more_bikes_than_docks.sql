-- Expectation: no station has more bikes than docks: a flag is missing
-- Relation:    bikes.morning_features_clean_mv
-- Severity:    warning
SELECT
    e.count_id,
    e.bikes,
    e.docks
FROM bikes.morning_features_clean_mv AS e
WHERE e.bikes > e.docks;
