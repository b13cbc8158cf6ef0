-- Specification: each listing of F0, and what the image row of its generation says of its device
-- Relation:      feature_store.v_device_meta_base_t0_v1 (F1)
-- Key:           generation, listing_id
-- Route:         Handles listings with and without an image row separately, so nothing follows from
--                the NULLs of a missing image row. A variant is the first word of a list that is in
--                the name.
WITH variant (place, word, model_variant) AS (
    VALUES
    (1, 'pro max', 'pro_max'), (2, 'pro', 'pro'), (3, 'plus', 'plus'), (4, 'mini', 'mini'),
    (5, 'air', 'air'), (6, '', 'base')
),

named AS MATERIALIZED (
    -- Materialized: once a listing, not once for every word.
    SELECT
        f.generation,
        f.listing_id,
        f.edited_date,
        lower(regexp_replace(f.model, '[[:space:]]+', ' ', 'g')) AS model
    FROM feature_store.listing_device_features_clean_mv AS f
),

listing AS (
    SELECT
        n.generation,
        n.listing_id,
        n.edited_date,
        CASE
            WHEN n.model <> ''
                THEN (
                    SELECT v.model_variant FROM variant AS v
                    WHERE strpos(n.model, v.word) > 0
                    ORDER BY v.place
                    LIMIT 1
                )
            ELSE 'other'
        END AS model_variant
    FROM named AS n
),

image AS (
    SELECT
        u.*,
        CASE
            WHEN coalesce(u.body_color_key_main, '') IN ('', '_MISSING') THEN '_MISSING'
            ELSE coalesce(c.color_bucket, '_OTHER')
        END AS color_bucket
    FROM feature_store.device_image_features_unified_v1 AS u
    LEFT JOIN feature_store.device_color_v1 AS c ON u.body_color_key_main = c.color_bucket
)

SELECT
    l.generation,
    l.listing_id,
    l.edited_date AS t0,
    l.edited_date::date AS t0_day,
    coalesce(u.model_effective_generation, l.generation) AS gen_key,
    l.model_variant,
    u.color_bucket,
    u.image_count::int AS image_count,
    CASE WHEN u.image_count > 0 THEN 1 ELSE 0 END AS dev_has_images,
    CASE WHEN u.color_bucket = '_MISSING' THEN 1 ELSE 0 END AS dev_color_is_missing,
    CASE WHEN u.color_known THEN 1 ELSE 0 END AS dev_color_known,
    CASE WHEN u.color_conflict THEN 1 ELSE 0 END AS dev_color_conflict,
    u.n_color_votes::int AS dev_n_color_votes,
    u.color_primary_vote_share::float8 AS dev_color_vote_share,
    u.color_vote_margin_share::float8 AS dev_color_vote_margin,
    CASE WHEN u.model_fixed_any THEN 1 ELSE 0 END AS dev_model_fixed_any,
    CASE WHEN u.model_generation_mismatch THEN 1 ELSE 0 END AS dev_model_generation_mismatch,
    CASE WHEN u.is_spam_below13 THEN 1 ELSE 0 END AS dev_is_spam_below13
FROM listing AS l
INNER JOIN image AS u ON l.generation = u.generation AND l.listing_id = u.listing_id
UNION ALL
SELECT
    l.generation,
    l.listing_id,
    l.edited_date AS t0,
    l.edited_date::date AS t0_day,
    l.generation AS gen_key,
    l.model_variant,
    '_MISSING' AS color_bucket,
    NULL::int AS image_count,
    0 AS dev_has_images,
    1 AS dev_color_is_missing,
    0 AS dev_color_known,
    0 AS dev_color_conflict,
    NULL::int AS dev_n_color_votes,
    NULL::float8 AS dev_color_vote_share,
    NULL::float8 AS dev_color_vote_margin,
    0 AS dev_model_fixed_any,
    0 AS dev_model_generation_mismatch,
    0 AS dev_is_spam_below13
FROM listing AS l
WHERE
    NOT EXISTS (
        SELECT FROM feature_store.device_image_features_unified_v1 AS u
        WHERE u.generation = l.generation AND u.listing_id = l.listing_id
    )
