-- Relation:   ml.tom_train_base_v1_mv (C), features beside labels
-- Grain:      one row per listing_id of A
-- Rows:       those of ml.tom_features_v1_mv
-- As-of:      edited_date (t0) for the features; the last two columns are outcomes
-- Never sees: a flagged row. No feature may read this relation.
-- Refresh:    blocking. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW ml.tom_train_base_v1_mv AS
SELECT
    f.listing_id,
    f.edited_date,
    f.generation,
    f.model,
    f.storage_gb,
    f.price,
    f.condition_score,
    f.battery_pct_fixed_ai,
    f.damage_severity_ai,
    f.damage_binary_ai,
    f.seller_rating,
    f.review_count,
    f.member_since_year,
    f.location_city,
    f.postal_code,
    f.title,
    f.description,
    f.title_length,
    f.description_length,
    y.sold_event,
    y.duration_hours
FROM ml.tom_features_v1_mv AS f
INNER JOIN ml.tom_labels_v1_mv AS y ON f.listing_id = y.listing_id
WITH NO DATA;

CREATE UNIQUE INDEX ttrain_v1_listing_uq ON ml.tom_train_base_v1_mv (listing_id);
CREATE INDEX ttrain_v1_evt_idx ON ml.tom_train_base_v1_mv (sold_event);

COMMENT ON MATERIALIZED VIEW ml.tom_train_base_v1_mv IS
'C: A''s features beside B''s labels, for training.';
