-- Relation:   ml.ask_daily_median_v1 (D2), what sellers asked, day by day
-- Grain:      one row per generation, storage_gb, ask_day (the first two may be NULL)
-- Key:        generation, storage_gb, ask_day
-- As-of:      ask_day. Declared exception: E reads the same day, so a listing sees later asks of its
--             own day, and its own.
-- Never sees: an outcome, a flagged row
-- Refresh:    blocking. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW ml.ask_daily_median_v1 AS
SELECT
    l.generation,
    l.storage_gb,
    l.edited_date::date AS ask_day,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY l.price) AS ask_median_price,
    count(*) AS ask_cnt
FROM "iPhone".iphone_listings AS l
WHERE
    l.spam IS NULL
    AND l.edited_date IS NOT NULL
GROUP BY l.generation, l.storage_gb, l.edited_date::date
WITH NO DATA;

CREATE INDEX ask_daily_med_v1_idx ON ml.ask_daily_median_v1 (generation, storage_gb, ask_day);

COMMENT ON MATERIALIZED VIEW ml.ask_daily_median_v1 IS
'D2: median asking price per cohort and day. Read for the same day: the one declared same-day source.';
COMMENT ON COLUMN ml.ask_daily_median_v1.generation IS
'Generation of the cohort. NULL is a separate group that no listing reads.';
COMMENT ON COLUMN ml.ask_daily_median_v1.storage_gb IS
'Storage in GB of the cohort. NULL is a separate group that no listing reads.';
COMMENT ON COLUMN ml.ask_daily_median_v1.ask_day IS
'Day of the asks (edited_date) in the store''s zone.';
COMMENT ON COLUMN ml.ask_daily_median_v1.ask_median_price IS
'Median price asked for the cohort on the listing''s own day; includes later asks of that day and its own. Same-day source.';
COMMENT ON COLUMN ml.ask_daily_median_v1.ask_cnt IS
'Asks (source rows, several per listing) behind ask_median_price, rows without a price included. Same-day source.';
