-- Specification: every listing of A, all its columns as they are there, with its label
-- Relation:      ml.tom_train_base_v1_mv (C)
-- Key:           listing_id
-- Route:         A alone says which listings there are, so one missing from B is here without a label.
--                Each listing looks up its own label.
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
    label.sold_event,
    label.duration_hours
FROM ml.tom_features_v1_mv AS f
LEFT JOIN LATERAL (
    SELECT
        y.sold_event,
        y.duration_hours
    FROM ml.tom_labels_v1_mv AS y
    WHERE y.listing_id = f.listing_id
) AS label ON TRUE
