-- History:    A, listings as they were first seen
-- Role:       input
-- Relation:   ml.tom_features_v1_mv
-- Day:        the listing's t0
-- Key:        listing_id
SELECT
    f.edited_date::date AS day,
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
    f.description
FROM ml.tom_features_v1_mv AS f
