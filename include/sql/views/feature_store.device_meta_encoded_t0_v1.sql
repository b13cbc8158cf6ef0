-- Relation:   feature_store.device_meta_encoded_t0_v1 (F3), the device features as numbers
-- Grain:      one row per listing_id; 61 columns, the keys generation and listing_id included
-- As-of:      edited_date (t0). Declared exception: reads F1 live.
-- Never sees: a listing of its own day or later in any gmc_ column
-- Refresh:    none, a plain view
CREATE VIEW feature_store.device_meta_encoded_t0_v1 AS
SELECT
    b.generation,
    b.listing_id,
    (b.gen_key = 13)::int AS dev_gen_13,
    (b.gen_key = 14)::int AS dev_gen_14,
    (b.gen_key = 15)::int AS dev_gen_15,
    (b.gen_key = 16)::int AS dev_gen_16,
    (b.gen_key = 17)::int AS dev_gen_17,
    (b.gen_key IS NULL OR b.gen_key NOT IN (13, 14, 15, 16, 17))::int AS dev_gen_other,
    (b.model_variant = 'base')::int AS dev_var_base,
    (b.model_variant = 'pro')::int AS dev_var_pro,
    (b.model_variant = 'pro_max')::int AS dev_var_pro_max,
    (b.model_variant = 'plus')::int AS dev_var_plus,
    (b.model_variant = 'mini')::int AS dev_var_mini,
    (b.model_variant = 'air')::int AS dev_var_air,
    (b.model_variant = 'other')::int AS dev_var_other,
    (b.color_bucket = 'graphite')::int AS dev_color_graphite,
    (b.color_bucket = 'black_titanium')::int AS dev_color_black_titanium,
    (b.color_bucket = 'silver')::int AS dev_color_silver,
    (b.color_bucket = 'space_black')::int AS dev_color_space_black,
    (b.color_bucket = 'midnight')::int AS dev_color_midnight,
    (b.color_bucket = 'sierra_blue')::int AS dev_color_sierra_blue,
    (b.color_bucket = 'blue')::int AS dev_color_blue,
    (b.color_bucket = 'natural_titanium')::int AS dev_color_natural_titanium,
    (b.color_bucket = 'gold')::int AS dev_color_gold,
    (b.color_bucket = 'deep_purple')::int AS dev_color_deep_purple,
    (b.color_bucket = 'white_titanium')::int AS dev_color_white_titanium,
    (b.color_bucket = 'starlight')::int AS dev_color_starlight,
    (b.color_bucket = 'desert_titanium')::int AS dev_color_desert_titanium,
    (b.color_bucket = 'blue_titanium')::int AS dev_color_blue_titanium,
    (b.color_bucket = 'black')::int AS dev_color_black,
    (b.color_bucket = 'alpine_green')::int AS dev_color_alpine_green,
    (b.color_bucket = 'pink')::int AS dev_color_pink,
    (b.color_bucket = 'green')::int AS dev_color_green,
    (b.color_bucket = 'deep_blue')::int AS dev_color_deep_blue,
    (b.color_bucket = 'cosmic_orange')::int AS dev_color_cosmic_orange,
    (b.color_bucket = '_MISSING')::int AS dev_color_missing,
    (b.color_bucket = '_OTHER')::int AS dev_color_other,
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
    coalesce(g.gmc_seg_n, 0) AS gmc_seg_n,
    g.gmc_seg_share,
    coalesce(g.gmc_color_n_in_seg, 0) AS gmc_color_n_in_seg,
    g.gmc_color_share_in_seg,
    g.gmc_color_rarity_score,
    coalesce(g.gmc_color_n_global, 0) AS gmc_color_n_global,
    g.gmc_color_share_global,
    g.gmc_color_rarity_global,
    g.gmc_color_rank_in_seg,
    coalesce(g.gmc_seg_n_distinct_colors, 0) AS gmc_seg_n_distinct_colors,
    g.gmc_seg_color_entropy,
    g.gmc_seg_top_color_share,
    g.gmc_seg_missing_color_share
FROM feature_store.v_device_meta_base_t0_v1 AS b
LEFT JOIN feature_store.device_meta_gmc_stats_t0_v1_mv AS g
    ON
        b.t0_day = g.t0_day
        AND b.gen_key = g.gen_key
        AND b.model_variant = g.model_variant
        AND b.color_bucket = g.color_bucket;

COMMENT ON VIEW feature_store.device_meta_encoded_t0_v1 IS
'F3: the device features of each listing of F0, encoded. Feature set iphone_device_meta_encoded_v2_model is bound to it.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_gen_13 IS
'1 if gen_key is 13, else 0; NULL where gen_key is NULL. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_gen_14 IS
'1 if gen_key is 14, else 0; NULL where gen_key is NULL. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_gen_15 IS
'1 if gen_key is 15, else 0; NULL where gen_key is NULL. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_gen_16 IS
'1 if gen_key is 16, else 0; NULL where gen_key is NULL. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_gen_17 IS
'1 if gen_key is 17, else 0; NULL where gen_key is NULL. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_gen_other IS
'1 if gen_key is none of 13 to 17 or NULL, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_var_base IS
'1 if model_variant is base, else 0.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_var_pro IS
'1 if model_variant is pro, else 0.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_var_pro_max IS
'1 if model_variant is pro_max, else 0.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_var_plus IS
'1 if model_variant is plus, else 0.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_var_mini IS
'1 if model_variant is mini, else 0.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_var_air IS
'1 if model_variant is air, else 0.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_var_other IS
'1 if model_variant is other, else 0.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_graphite IS
'1 if color_bucket is graphite, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_black_titanium IS
'1 if color_bucket is black_titanium, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_silver IS
'1 if color_bucket is silver, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_space_black IS
'1 if color_bucket is space_black, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_midnight IS
'1 if color_bucket is midnight, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_sierra_blue IS
'1 if color_bucket is sierra_blue, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_blue IS
'1 if color_bucket is blue, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_natural_titanium IS
'1 if color_bucket is natural_titanium, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_gold IS
'1 if color_bucket is gold, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_deep_purple IS
'1 if color_bucket is deep_purple, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_white_titanium IS
'1 if color_bucket is white_titanium, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_starlight IS
'1 if color_bucket is starlight, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_desert_titanium IS
'1 if color_bucket is desert_titanium, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_blue_titanium IS
'1 if color_bucket is blue_titanium, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_black IS
'1 if color_bucket is black, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_alpine_green IS
'1 if color_bucket is alpine_green, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_pink IS
'1 if color_bucket is pink, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_green IS
'1 if color_bucket is green, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_deep_blue IS
'1 if color_bucket is deep_blue, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_cosmic_orange IS
'1 if color_bucket is cosmic_orange, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_missing IS
'1 if color_bucket is _MISSING, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_color_other IS
'1 if color_bucket is _OTHER, else 0. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.dev_image_count IS
'Images of the listing; NULL without an image row. Image row as of the query.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_seg_n IS
'Listings of the same segment (gen_key, model_variant) first seen on earlier days. Image row as of the query, reader''s time zone.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_seg_share IS
'Smoothed share of the segment among all earlier listings that have a gen_key. Image row as of the query, reader''s time zone.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_color_n_in_seg IS
'Listings of the same segment and colour first seen on earlier days. Image row as of the query, reader''s time zone.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_color_share_in_seg IS
'Smoothed share of the colour within the segment''s earlier listings. Image row as of the query, reader''s time zone.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_color_rarity_score IS
'-ln(gmc_color_share_in_seg): the rarer within the segment, the higher. Image row as of the query, reader''s time zone.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_color_n_global IS
'Listings of the same colour, in any segment that has a gen_key, first seen on earlier days. Image row as of the query, reader''s time zone.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_color_share_global IS
'Smoothed share of the colour among all earlier listings that have a gen_key. Image row as of the query, reader''s time zone.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_color_rarity_global IS
'-ln(gmc_color_share_global): the rarer overall, the higher. Image row as of the query, reader''s time zone.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_color_rank_in_seg IS
'Dense rank of the colour within the segment by earlier listings; all 1 on a segment''s first day. Image row as of the query, reader''s time zone.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_seg_n_distinct_colors IS
'Colours seen in the segment on earlier days. Image row as of the query, reader''s time zone.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_seg_color_entropy IS
'Entropy (natural log) of the segment''s colours over earlier listings; 0 on its first day. Image row as of the query, reader''s time zone.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_seg_top_color_share IS
'Share of the segment''s most common colour over earlier listings; NULL on its first day. Image row as of the query, reader''s time zone.';
COMMENT ON COLUMN feature_store.device_meta_encoded_t0_v1.gmc_seg_missing_color_share IS
'Share of the segment''s earlier listings without a colour; 0 on its first day. Image row as of the query, reader''s time zone.';
