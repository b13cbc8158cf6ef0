-- Relation:   ml.tom_features_v1_mv (A), the base t0 snapshot
-- Grain:      one row per listing_id
-- As-of:      edited_date (t0), the moment the listing was first seen
-- Never sees: an outcome (sold_date, sold_price, real_sold_price, last_seen, status), a flagged row
-- Refresh:    blocking. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW ml.tom_features_v1_mv AS
WITH first_seen AS (
    -- Several rows of a listing may share the earliest edited_date. The order below leaves no choice
    -- but between rows with identical features. It uses features only: no outcome, and no text that
    -- depends on the session's zone. Of several prices under one date the highest comes first:
    -- sellers cut prices, and a cut is known later.
    SELECT DISTINCT ON (l.listing_id)
        l.listing_id,
        l.edited_date,
        l.generation,
        l.model,
        l.storage_gb,
        l.price,
        l.condition_score,
        l.battery_pct_fixed_ai,
        l.damage_severity_ai,
        l.damage_binary_ai,
        l.seller_rating,
        l.review_count,
        l.member_since_year,
        l.location_city,
        l.postal_code,
        l.title,
        l.description
    FROM "iPhone".iphone_listings AS l
    WHERE l.spam IS NULL
    ORDER BY
        l.listing_id ASC,
        l.edited_date ASC NULLS LAST,
        l.generation ASC NULLS LAST,
        l.model COLLATE "C" ASC NULLS LAST,
        l.storage_gb ASC NULLS LAST,
        l.price DESC NULLS LAST,
        l.condition_score ASC NULLS LAST,
        l.battery_pct_fixed_ai ASC NULLS LAST,
        l.damage_severity_ai ASC NULLS LAST,
        l.damage_binary_ai ASC NULLS LAST,
        l.seller_rating ASC NULLS LAST,
        l.review_count ASC NULLS LAST,
        l.member_since_year ASC NULLS LAST,
        l.location_city COLLATE "C" ASC NULLS LAST,
        l.postal_code COLLATE "C" ASC NULLS LAST,
        l.title COLLATE "C" ASC NULLS LAST,
        l.description COLLATE "C" ASC NULLS LAST
)

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
    char_length(coalesce(f.title, '')) AS title_length,
    char_length(coalesce(f.description, '')) AS description_length
FROM first_seen AS f
WITH NO DATA;

CREATE UNIQUE INDEX tfeat_v1_listing_uq ON ml.tom_features_v1_mv (listing_id);
CREATE INDEX tfeat_v1_dt_idx ON ml.tom_features_v1_mv (edited_date, generation, storage_gb);

COMMENT ON MATERIALIZED VIEW ml.tom_features_v1_mv IS
'A: every unflagged listing as it was first seen (t0). One row per listing_id; no outcome, no anchor.';
COMMENT ON COLUMN ml.tom_features_v1_mv.listing_id IS
'The marketplace''s id of the listing. Join key, never a feature.';
COMMENT ON COLUMN ml.tom_features_v1_mv.edited_date IS
't0: the earliest edited_date among the listing''s unflagged rows; NULL if none has one.';
COMMENT ON COLUMN ml.tom_features_v1_mv.generation IS
'iPhone generation as a number (13 is iPhone 13). NULL: no cohort, so no anchors.';
COMMENT ON COLUMN ml.tom_features_v1_mv.model IS
'Model as the seller wrote it at t0.';
COMMENT ON COLUMN ml.tom_features_v1_mv.storage_gb IS
'Storage in GB at t0. NULL: no cohort, so no anchors.';
COMMENT ON COLUMN ml.tom_features_v1_mv.price IS
'Asking price at t0, in whole units of the marketplace''s currency; the highest if t0 has several.';
COMMENT ON COLUMN ml.tom_features_v1_mv.condition_score IS
'Condition, 0 (worst) to 1 (as new). Updated in place by the source: not proven to be of t0.';
COMMENT ON COLUMN ml.tom_features_v1_mv.battery_pct_fixed_ai IS
'Battery health in percent, cleaned by AI. Updated in place by the source: not proven to be of t0.';
COMMENT ON COLUMN ml.tom_features_v1_mv.damage_severity_ai IS
'Damage read by AI, 0 (none) to 3. Updated in place by the source: not proven to be of t0.';
COMMENT ON COLUMN ml.tom_features_v1_mv.damage_binary_ai IS
'1 if AI read any damage, else 0. Updated in place by the source: not proven to be of t0.';
COMMENT ON COLUMN ml.tom_features_v1_mv.seller_rating IS
'Seller''s rating. Updated in place by the source: not proven to be of t0.';
COMMENT ON COLUMN ml.tom_features_v1_mv.review_count IS
'Seller''s number of reviews. Updated in place by the source: not proven to be of t0.';
COMMENT ON COLUMN ml.tom_features_v1_mv.member_since_year IS
'Year in which the seller joined the marketplace.';
COMMENT ON COLUMN ml.tom_features_v1_mv.location_city IS
'City that the listing names.';
COMMENT ON COLUMN ml.tom_features_v1_mv.postal_code IS
'Postal code that the listing names, as text: leading zeros count.';
COMMENT ON COLUMN ml.tom_features_v1_mv.title IS
'Raw title. Kept for later text features, never a feature itself.';
COMMENT ON COLUMN ml.tom_features_v1_mv.description IS
'Raw description. Kept for later text features, never a feature itself.';
COMMENT ON COLUMN ml.tom_features_v1_mv.title_length IS
'Characters in the title; 0 without one.';
COMMENT ON COLUMN ml.tom_features_v1_mv.description_length IS
'Characters in the description; 0 without one.';
