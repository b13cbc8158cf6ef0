-- History:    F2, how common each device was
-- Role:       output
-- Relation:   feature_store.device_meta_gmc_stats_t0_v1_mv
-- Day:        t0_day
-- Key:        gen_key, model_variant, color_bucket
-- Depends:    device counts ..-1
-- Appears:    device counts. A day exists if a listing has its t0 on it; nothing else of that day counts.
WITH segment AS (
    -- Only segments that an earlier day had: a new one adds rows of zero to every past day, which say
    -- nothing about those days.
    SELECT
        c.gen_key,
        c.model_variant,
        min(c.t0_day) AS first_day
    FROM feature_store.device_count_day_v1_mv AS c
    WHERE c.gen_key IS NOT NULL
    GROUP BY c.gen_key, c.model_variant
)

SELECT
    s.t0_day AS day,
    s.gen_key,
    s.model_variant,
    s.color_bucket,
    s.gmc_seg_n,
    s.gmc_seg_share,
    s.gmc_color_n_in_seg,
    s.gmc_color_share_in_seg,
    s.gmc_color_rarity_score,
    s.gmc_color_n_global,
    s.gmc_color_share_global,
    s.gmc_color_rarity_global,
    s.gmc_color_rank_in_seg,
    s.gmc_seg_n_distinct_colors,
    s.gmc_seg_color_entropy,
    s.gmc_seg_top_color_share,
    s.gmc_seg_missing_color_share
FROM feature_store.device_meta_gmc_stats_t0_v1_mv AS s
INNER JOIN segment AS g
    ON
        s.gen_key = g.gen_key
        AND s.model_variant = g.model_variant
        AND s.t0_day > g.first_day
