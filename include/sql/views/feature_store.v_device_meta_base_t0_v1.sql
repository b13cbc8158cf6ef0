-- Relation:   feature_store.v_device_meta_base_t0_v1 (F1), each listing's device
-- Grain:      one row per listing_id
-- As-of:      edited_date (t0). Declared exception: image features are read live, so an image row
--             that arrives after the refresh shows here before F2 has counted it.
-- Never sees: another listing
-- Refresh:    none, a plain view
CREATE VIEW feature_store.v_device_meta_base_t0_v1 AS
WITH listing AS (
    SELECT
        b.generation,
        b.listing_id,
        b.edited_date AS t0,
        b.edited_date::date AS t0_day,
        lower(b.model) AS model_name
    FROM feature_store.listing_device_features_clean_mv AS b
),

image AS (
    SELECT
        u.generation,
        u.listing_id,
        u.image_count::int AS image_count,
        nullif(u.body_color_key_main, '') AS color_key,
        u.color_known,
        u.color_conflict,
        u.n_color_votes::int AS n_color_votes,
        u.color_primary_vote_share::float8 AS color_vote_share,
        u.color_vote_margin_share::float8 AS color_vote_margin,
        u.model_effective_generation,
        u.model_fixed_any,
        u.model_generation_mismatch,
        u.is_spam_below13
    FROM feature_store.device_image_features_unified_v1 AS u
)

SELECT
    l.generation,
    l.listing_id,
    l.t0,
    l.t0_day,
    coalesce(i.model_effective_generation, l.generation) AS gen_key,
    -- Several blanks count as one. A name of blanks is 'base', an empty or missing one 'other'. No
    -- backslash here: its meaning in a literal depends on standard_conforming_strings.
    CASE
        WHEN l.model_name IS NULL OR l.model_name = '' THEN 'other'
        WHEN l.model_name ~ 'pro[[:space:]]+max' THEN 'pro_max'
        WHEN l.model_name LIKE '%pro%' THEN 'pro'
        WHEN l.model_name LIKE '%plus%' THEN 'plus'
        WHEN l.model_name LIKE '%mini%' THEN 'mini'
        WHEN l.model_name LIKE '%air%' THEN 'air'
        ELSE 'base'
    END AS model_variant,
    CASE
        WHEN i.color_key IS NULL THEN '_MISSING'
        WHEN i.color_key IN (SELECT c.color_bucket FROM feature_store.device_color_v1 AS c) THEN i.color_key
        ELSE '_OTHER'
    END AS color_bucket,
    i.image_count,
    coalesce(i.image_count > 0, FALSE)::int AS dev_has_images,
    (i.color_key IS NULL OR i.color_key = '_MISSING')::int AS dev_color_is_missing,
    (i.color_known IS TRUE)::int AS dev_color_known,
    (i.color_conflict IS TRUE)::int AS dev_color_conflict,
    i.n_color_votes AS dev_n_color_votes,
    i.color_vote_share AS dev_color_vote_share,
    i.color_vote_margin AS dev_color_vote_margin,
    (i.model_fixed_any IS TRUE)::int AS dev_model_fixed_any,
    (i.model_generation_mismatch IS TRUE)::int AS dev_model_generation_mismatch,
    (i.is_spam_below13 IS TRUE)::int AS dev_is_spam_below13
FROM listing AS l
LEFT JOIN image AS i ON l.generation = i.generation AND l.listing_id = i.listing_id;

COMMENT ON VIEW feature_store.v_device_meta_base_t0_v1 IS
'F1: the device of each listing of F0: segment (gen_key, model_variant), colour and the quality of the evidence for it.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.generation IS
'iPhone generation as the listing names it.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.listing_id IS
'The listing. Key, never a feature.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.t0 IS
't0: the listing''s edited_date.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.t0_day IS
'Day of t0 in the reader''s time zone, which should be the store''s; NULL without t0.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.gen_key IS
'Generation that the images show, else the listing''s own; NULL where neither is known. Image row as of the query.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.model_variant IS
'pro_max, pro, plus, mini, air, base; other where the listing names no model.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.color_bucket IS
'One of 20 known colour keys, _OTHER for any other spelling (case counts), _MISSING for none. Image row as of the query.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.image_count IS
'Images of the listing; NULL without an image row. Image row as of the query.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.dev_has_images IS
'1 if the listing has an image, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.dev_color_is_missing IS
'1 if no colour was read, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.dev_color_known IS
'1 if the colour counts as known, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.dev_color_conflict IS
'1 if images disagree on the colour, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.dev_n_color_votes IS
'Images that voted for a colour; NULL without an image row. Image row as of the query.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.dev_color_vote_share IS
'Share, 0 to 1, of the votes for the main colour. Image row as of the query.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.dev_color_vote_margin IS
'Margin, 0 to 1, of the main colour over the next. Image row as of the query.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.dev_model_fixed_any IS
'1 if the images corrected the model, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.dev_model_generation_mismatch IS
'1 if images and listing name different generations, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.v_device_meta_base_t0_v1.dev_is_spam_below13 IS
'1 if the images show an iPhone older than the 13, else 0. Image row as of the query.';
