-- Relation:   ml.sold_durations_v1_mv (D1), how long sold listings took
-- Grain:      one row per unflagged source row with a sale: several per listing, duplicates are legal
-- As-of:      sold_day, the day on which the sale became known
-- Never sees: a flagged row
-- Refresh:    blocking (no key is possible, so never concurrently). Created empty.
CREATE MATERIALIZED VIEW ml.sold_durations_v1_mv AS
SELECT
    l.listing_id,
    l.generation,
    l.storage_gb,
    l.sold_date::date AS sold_day,
    extract(EPOCH FROM (l.sold_date - l.edited_date)) / 3600.0 AS duration_hours
FROM "iPhone".iphone_listings AS l
WHERE
    l.spam IS NULL
    AND l.sold_date IS NOT NULL
    AND l.edited_date IS NOT NULL
WITH NO DATA;

CREATE INDEX sold_dur_v1_idx ON ml.sold_durations_v1_mv (generation, storage_gb, sold_day);

COMMENT ON MATERIALIZED VIEW ml.sold_durations_v1_mv IS
'D1: history of sale durations, the source of the speed anchors. A reader at t0 may use earlier sold_days only.';
COMMENT ON COLUMN ml.sold_durations_v1_mv.listing_id IS
'The sold listing. Only the speed anchor (D4) may join on it.';
COMMENT ON COLUMN ml.sold_durations_v1_mv.generation IS
'Generation on the row that carries the sale.';
COMMENT ON COLUMN ml.sold_durations_v1_mv.storage_gb IS
'Storage in GB on the row that carries the sale.';
COMMENT ON COLUMN ml.sold_durations_v1_mv.sold_day IS
'Day of the sale in the store''s zone: known from the next day on.';
COMMENT ON COLUMN ml.sold_durations_v1_mv.duration_hours IS
'Hours from that row''s edited_date to the sale; negative if the sale came before the edit.';
