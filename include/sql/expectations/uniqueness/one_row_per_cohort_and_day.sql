-- Expectation: one row per generation, storage_gb, ask_day; NULL is a value of its own
-- Relation:    ml.ask_daily_median_v1
-- Severity:    critical
SELECT
    d.generation,
    d.storage_gb,
    d.ask_day,
    count(*) AS found
FROM ml.ask_daily_median_v1 AS d
GROUP BY d.generation, d.storage_gb, d.ask_day
HAVING count(*) > 1;
