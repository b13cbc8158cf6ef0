-- Specification: every day with a listing, times every segment that has a generation, times 22 colours;
--                and how common each was among the listings of strictly earlier days
-- Relation:      feature_store.device_meta_gmc_stats_t0_v1_mv (F2)
-- Key:           t0_day, gen_key, model_variant, color_bucket
-- Route:         Builds the whole grid with the listings of each day, then adds up day by day and
--                across colours and segments.
WITH segment AS (
    SELECT
        c.gen_key,
        c.model_variant,
        min(c.t0_day) AS first_day
    FROM feature_store.device_count_day_v1_mv AS c
    GROUP BY c.gen_key, c.model_variant
),

day AS (
    -- Here a segment without a generation counts, too.
    SELECT
        c.t0_day,
        (
            SELECT count(*) FROM segment AS s
            WHERE s.first_day < c.t0_day
        ) AS n_segs
    FROM feature_store.device_count_day_v1_mv AS c
    WHERE c.t0_day IS NOT NULL
    GROUP BY c.t0_day
),

listed AS (
    SELECT
        d.t0_day,
        d.n_segs,
        s.gen_key,
        s.model_variant,
        c.color_bucket,
        coalesce(n.n, 0)::float8 AS n
    FROM day AS d
    CROSS JOIN segment AS s
    CROSS JOIN feature_store.device_color_v1 AS c
    LEFT JOIN feature_store.device_count_day_v1_mv AS n
        ON
            d.t0_day = n.t0_day
            AND s.gen_key = n.gen_key
            AND s.model_variant = n.model_variant
            AND c.color_bucket = n.color_bucket
    WHERE s.gen_key IS NOT NULL
),

before AS (
    -- All days before, without the day itself. Whole numbers: exact in any order.
    SELECT
        l.t0_day,
        l.n_segs,
        l.gen_key,
        l.model_variant,
        l.color_bucket,
        sum(l.n) OVER (PARTITION BY l.gen_key, l.model_variant, l.color_bucket ORDER BY l.t0_day) - l.n AS n
    FROM listed AS l
),

added AS (
    SELECT
        b.*,
        sum(b.n) OVER (PARTITION BY b.t0_day) AS n_all,
        sum(b.n) OVER (PARTITION BY b.t0_day, b.color_bucket) AS n_color,
        sum(b.n) OVER (PARTITION BY b.t0_day, b.gen_key, b.model_variant) AS n_seg
    FROM before AS b
)

SELECT
    a.t0_day,
    a.gen_key,
    a.model_variant,
    a.color_bucket,
    a.n_seg::int AS gmc_seg_n,
    (a.n_seg + 0.5) / (a.n_all + 0.5 * greatest(a.n_segs, 1)::float8) AS gmc_seg_share,
    a.n::int AS gmc_color_n_in_seg,
    (a.n + 0.5) / (a.n_seg + 11) AS gmc_color_share_in_seg,
    -ln((a.n + 0.5) / (a.n_seg + 11)) AS gmc_color_rarity_score,
    a.n_color::int AS gmc_color_n_global,
    (a.n_color + 0.5) / (a.n_all + 11) AS gmc_color_share_global,
    -ln((a.n_color + 0.5) / (a.n_all + 11)) AS gmc_color_rarity_global,
    (dense_rank() OVER by_color)::int AS gmc_color_rank_in_seg,
    (count(*) FILTER (WHERE a.n > 0) OVER by_color)::int AS gmc_seg_n_distinct_colors,
    -- No term is above zero. abs() turns -0, the sum of no terms, into 0.
    abs(coalesce(sum(a.n / a.n_seg * ln(a.n / a.n_seg)) FILTER (WHERE a.n > 0) OVER by_color, 0))
        AS gmc_seg_color_entropy,
    max(a.n / nullif(a.n_seg, 0)) OVER by_color AS gmc_seg_top_color_share,
    coalesce(
        max(a.n / nullif(a.n_seg, 0)) FILTER (WHERE a.color_bucket = '_MISSING') OVER by_color, 0
    ) AS gmc_seg_missing_color_share
FROM added AS a
WINDOW
    -- The order of adding changes a sum of floats: the most common colour first.
    by_color AS (
        PARTITION BY a.t0_day, a.gen_key, a.model_variant
        ORDER BY a.n DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
