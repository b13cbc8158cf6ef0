-- Specification: each listing of F1: its device as ones and zeros, the evidence for it, and what F2 knew
--                on its t0 day of its own segment and colour
-- Relation:      feature_store.device_meta_encoded_t0_v1 (F3)
-- Key:           generation, listing_id
-- Route:         Encodes each key by CASE. Looks up F2's row for each listing by itself.
SELECT
    b.generation,
    b.listing_id,
    CASE WHEN b.gen_key IS NOT NULL THEN CASE b.gen_key WHEN 13 THEN 1 ELSE 0 END END AS dev_gen_13,
    CASE WHEN b.gen_key IS NOT NULL THEN CASE b.gen_key WHEN 14 THEN 1 ELSE 0 END END AS dev_gen_14,
    CASE WHEN b.gen_key IS NOT NULL THEN CASE b.gen_key WHEN 15 THEN 1 ELSE 0 END END AS dev_gen_15,
    CASE WHEN b.gen_key IS NOT NULL THEN CASE b.gen_key WHEN 16 THEN 1 ELSE 0 END END AS dev_gen_16,
    CASE WHEN b.gen_key IS NOT NULL THEN CASE b.gen_key WHEN 17 THEN 1 ELSE 0 END END AS dev_gen_17,
    CASE WHEN b.gen_key BETWEEN 13 AND 17 THEN 0 ELSE 1 END AS dev_gen_other,
    CASE b.model_variant WHEN 'base' THEN 1 ELSE 0 END AS dev_var_base,
    CASE b.model_variant WHEN 'pro' THEN 1 ELSE 0 END AS dev_var_pro,
    CASE b.model_variant WHEN 'pro_max' THEN 1 ELSE 0 END AS dev_var_pro_max,
    CASE b.model_variant WHEN 'plus' THEN 1 ELSE 0 END AS dev_var_plus,
    CASE b.model_variant WHEN 'mini' THEN 1 ELSE 0 END AS dev_var_mini,
    CASE b.model_variant WHEN 'air' THEN 1 ELSE 0 END AS dev_var_air,
    CASE b.model_variant WHEN 'other' THEN 1 ELSE 0 END AS dev_var_other,
    CASE b.color_bucket WHEN 'graphite' THEN 1 ELSE 0 END AS dev_color_graphite,
    CASE b.color_bucket WHEN 'black_titanium' THEN 1 ELSE 0 END AS dev_color_black_titanium,
    CASE b.color_bucket WHEN 'silver' THEN 1 ELSE 0 END AS dev_color_silver,
    CASE b.color_bucket WHEN 'space_black' THEN 1 ELSE 0 END AS dev_color_space_black,
    CASE b.color_bucket WHEN 'midnight' THEN 1 ELSE 0 END AS dev_color_midnight,
    CASE b.color_bucket WHEN 'sierra_blue' THEN 1 ELSE 0 END AS dev_color_sierra_blue,
    CASE b.color_bucket WHEN 'blue' THEN 1 ELSE 0 END AS dev_color_blue,
    CASE b.color_bucket WHEN 'natural_titanium' THEN 1 ELSE 0 END AS dev_color_natural_titanium,
    CASE b.color_bucket WHEN 'gold' THEN 1 ELSE 0 END AS dev_color_gold,
    CASE b.color_bucket WHEN 'deep_purple' THEN 1 ELSE 0 END AS dev_color_deep_purple,
    CASE b.color_bucket WHEN 'white_titanium' THEN 1 ELSE 0 END AS dev_color_white_titanium,
    CASE b.color_bucket WHEN 'starlight' THEN 1 ELSE 0 END AS dev_color_starlight,
    CASE b.color_bucket WHEN 'desert_titanium' THEN 1 ELSE 0 END AS dev_color_desert_titanium,
    CASE b.color_bucket WHEN 'blue_titanium' THEN 1 ELSE 0 END AS dev_color_blue_titanium,
    CASE b.color_bucket WHEN 'black' THEN 1 ELSE 0 END AS dev_color_black,
    CASE b.color_bucket WHEN 'alpine_green' THEN 1 ELSE 0 END AS dev_color_alpine_green,
    CASE b.color_bucket WHEN 'pink' THEN 1 ELSE 0 END AS dev_color_pink,
    CASE b.color_bucket WHEN 'green' THEN 1 ELSE 0 END AS dev_color_green,
    CASE b.color_bucket WHEN 'deep_blue' THEN 1 ELSE 0 END AS dev_color_deep_blue,
    CASE b.color_bucket WHEN 'cosmic_orange' THEN 1 ELSE 0 END AS dev_color_cosmic_orange,
    CASE b.color_bucket WHEN '_MISSING' THEN 1 ELSE 0 END AS dev_color_missing,
    CASE b.color_bucket WHEN '_OTHER' THEN 1 ELSE 0 END AS dev_color_other,
    b.image_count AS dev_image_count,
    b.dev_has_images,
    b.dev_color_is_missing,
    b.dev_color_known,
    b.dev_color_conflict,
    b.dev_n_color_votes,
    b.dev_color_vote_share,
    b.dev_color_vote_margin,
    b.dev_model_fixed_any,
    b.dev_model_generation_mismatch,
    b.dev_is_spam_below13,
    CASE WHEN g.t0_day IS NULL THEN 0 ELSE g.gmc_seg_n END AS gmc_seg_n,
    g.gmc_seg_share,
    CASE WHEN g.t0_day IS NULL THEN 0 ELSE g.gmc_color_n_in_seg END AS gmc_color_n_in_seg,
    g.gmc_color_share_in_seg,
    g.gmc_color_rarity_score,
    CASE WHEN g.t0_day IS NULL THEN 0 ELSE g.gmc_color_n_global END AS gmc_color_n_global,
    g.gmc_color_share_global,
    g.gmc_color_rarity_global,
    g.gmc_color_rank_in_seg,
    CASE WHEN g.t0_day IS NULL THEN 0 ELSE g.gmc_seg_n_distinct_colors END AS gmc_seg_n_distinct_colors,
    g.gmc_seg_color_entropy,
    g.gmc_seg_top_color_share,
    g.gmc_seg_missing_color_share
FROM feature_store.v_device_meta_base_t0_v1 AS b
LEFT JOIN
    LATERAL (
        SELECT * FROM feature_store.device_meta_gmc_stats_t0_v1_mv AS s
        WHERE
            s.t0_day = b.t0_day
            AND s.gen_key = b.gen_key
            AND s.model_variant = b.model_variant
            AND s.color_bucket = b.color_bucket
    ) AS g
    ON TRUE
