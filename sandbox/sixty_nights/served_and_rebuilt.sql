-- Each listing that was served on the night after its t0: its numbers as they were served, as they are today,
-- and how long it took.
SELECT
    l.t0::date AS t0_day,
    c.sold_event,
    c.duration_hours,
    to_jsonb(l) AS served,
    to_jsonb(f) AS rebuilt
FROM feature_log.tom_features_v1 AS l
INNER JOIN ml.tom_features_v1_enriched_ai_clean_mv AS f ON l.listing_id = f.listing_id
INNER JOIN ml.tom_train_base_v1_mv AS c ON l.listing_id = c.listing_id
WHERE l.as_of_day - l.t0::date <= 1
ORDER BY l.listing_id;
