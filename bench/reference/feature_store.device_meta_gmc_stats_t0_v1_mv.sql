-- Relation:   feature_store.device_meta_gmc_stats_t0_v1_mv (F2), as its documents tell it
-- Naive:      the grid of days, segments and colours is filled once, summed up four times, each sum
--             in a step of its own, and the steps are joined to each other again. No step has
--             statistics or an index, so a planner takes each join for one of few rows.
--             Which side of a condition stands left is as in the documents, for it decides the plan.
--             Where it takes nested loops, 100,000 listings take more than minutes, and with the
--             sides turned round so do 1,000. The benchmark gives it up after its patience, and
--             times it once more with nested loops forbidden.
-- noqa: disable=ST09
CREATE MATERIALIZED VIEW feature_store.device_meta_gmc_stats_t0_v1_mv AS
WITH color AS (
    SELECT unnest(ARRAY[
        'graphite', 'black_titanium', 'silver', 'space_black', 'midnight', 'sierra_blue', 'blue',
        'natural_titanium', 'gold', 'deep_purple', 'white_titanium', 'starlight',
        'desert_titanium', 'blue_titanium', 'black', 'alpine_green', 'pink', 'green', 'deep_blue',
        'cosmic_orange', '_MISSING', '_OTHER'
    ]) AS color_bucket
),

day AS (
    SELECT DISTINCT b.t0_day
    FROM feature_store.v_device_meta_base_t0_v1 AS b
),

segment AS (
    SELECT DISTINCT
        b.gen_key,
        b.model_variant
    FROM feature_store.v_device_meta_base_t0_v1 AS b
),

first_seen AS (
    SELECT
        b.gen_key,
        b.model_variant,
        min(b.t0_day) AS first_day
    FROM feature_store.v_device_meta_base_t0_v1 AS b
    GROUP BY b.gen_key, b.model_variant
),

counted AS (
    SELECT
        b.t0_day,
        b.gen_key,
        b.model_variant,
        b.color_bucket,
        count(*)::float8 AS n
    FROM feature_store.v_device_meta_base_t0_v1 AS b
    GROUP BY b.t0_day, b.gen_key, b.model_variant, b.color_bucket
),

cell AS (
    SELECT
        d.t0_day,
        s.gen_key,
        s.model_variant,
        c.color_bucket
    FROM day AS d
    CROSS JOIN segment AS s
    CROSS JOIN color AS c
),

grid AS (
    SELECT
        c.t0_day,
        c.gen_key,
        c.model_variant,
        c.color_bucket,
        coalesce(n.n, 0.0) AS n
    FROM cell AS c
    LEFT JOIN counted AS n
        ON
            n.t0_day = c.t0_day
            AND n.gen_key = c.gen_key
            AND n.model_variant = c.model_variant
            AND n.color_bucket = c.color_bucket
),

segment_day AS (
    SELECT
        g.t0_day,
        g.gen_key,
        g.model_variant,
        sum(g.n) AS n
    FROM grid AS g
    GROUP BY g.t0_day, g.gen_key, g.model_variant
),

color_day AS (
    SELECT
        g.t0_day,
        g.color_bucket,
        sum(g.n) AS n
    FROM grid AS g
    GROUP BY g.t0_day, g.color_bucket
),

total_day AS (
    SELECT
        s.t0_day,
        sum(s.n) AS n
    FROM segment_day AS s
    GROUP BY s.t0_day
),

prior_color_in_segment AS (
    SELECT
        g.t0_day,
        g.gen_key,
        g.model_variant,
        g.color_bucket,
        sum(g.n) OVER (
            PARTITION BY g.gen_key, g.model_variant, g.color_bucket
            ORDER BY g.t0_day
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS n
    FROM grid AS g
),

prior_segment AS (
    SELECT
        s.t0_day,
        s.gen_key,
        s.model_variant,
        sum(s.n) OVER (
            PARTITION BY s.gen_key, s.model_variant
            ORDER BY s.t0_day
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS n
    FROM segment_day AS s
),

prior_color AS (
    SELECT
        c.t0_day,
        c.color_bucket,
        sum(c.n) OVER (
            PARTITION BY c.color_bucket
            ORDER BY c.t0_day
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS n
    FROM color_day AS c
),

prior_total AS (
    SELECT
        t.t0_day,
        sum(t.n) OVER (
            ORDER BY t.t0_day
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS n
    FROM total_day AS t
),

prior_segments_seen AS (
    SELECT
        d.t0_day,
        count(*)::float8 AS n
    FROM day AS d
    INNER JOIN first_seen AS s ON s.first_day < d.t0_day
    GROUP BY d.t0_day
),

prior AS (
    SELECT
        p.t0_day,
        p.gen_key,
        p.model_variant,
        p.color_bucket,
        coalesce(p.n, 0.0) AS n_color_in_seg,
        coalesce(s.n, 0.0) AS n_seg,
        coalesce(c.n, 0.0) AS n_color,
        coalesce(t.n, 0.0) AS n_total,
        coalesce(k.n, 0.0) AS n_segs
    FROM prior_color_in_segment AS p
    INNER JOIN prior_segment AS s
        ON
            s.t0_day = p.t0_day
            AND s.gen_key = p.gen_key
            AND s.model_variant = p.model_variant
    INNER JOIN prior_color AS c ON c.t0_day = p.t0_day AND c.color_bucket = p.color_bucket
    INNER JOIN prior_total AS t ON t.t0_day = p.t0_day
    LEFT JOIN prior_segments_seen AS k ON k.t0_day = p.t0_day
),

ranked AS (
    SELECT
        p.*,
        dense_rank() OVER (
            PARTITION BY p.t0_day, p.gen_key, p.model_variant
            ORDER BY p.n_color_in_seg DESC
        ) AS color_rank
    FROM prior AS p
),

variety AS (
    SELECT
        r.t0_day,
        r.gen_key,
        r.model_variant,
        count(*) FILTER (WHERE r.n_color_in_seg > 0) AS n_colors,
        -sum(
            CASE
                WHEN r.n_color_in_seg > 0
                    THEN r.n_color_in_seg / r.n_seg * ln(r.n_color_in_seg / r.n_seg)
                ELSE 0.0
            END
        ) AS entropy,
        max(CASE WHEN r.n_seg > 0 THEN r.n_color_in_seg / r.n_seg END) AS top_share,
        sum(
            CASE
                WHEN r.color_bucket = '_MISSING' AND r.n_seg > 0 THEN r.n_color_in_seg / r.n_seg
                ELSE 0.0
            END
        ) AS missing_share
    FROM ranked AS r
    GROUP BY r.t0_day, r.gen_key, r.model_variant
)

SELECT
    r.t0_day,
    r.gen_key,
    r.model_variant,
    r.color_bucket,
    r.n_seg::int AS gmc_seg_n,
    (r.n_seg + 0.5) / (r.n_total + 0.5 * greatest(r.n_segs, 1.0)) AS gmc_seg_share,
    r.n_color_in_seg::int AS gmc_color_n_in_seg,
    (r.n_color_in_seg + 0.5) / (r.n_seg + 0.5 * 22) AS gmc_color_share_in_seg,
    -ln(greatest((r.n_color_in_seg + 0.5) / (r.n_seg + 0.5 * 22), 1e-12))
        AS gmc_color_rarity_score,
    r.n_color::int AS gmc_color_n_global,
    (r.n_color + 0.5) / (r.n_total + 0.5 * 22) AS gmc_color_share_global,
    -ln(greatest((r.n_color + 0.5) / (r.n_total + 0.5 * 22), 1e-12)) AS gmc_color_rarity_global,
    r.color_rank::int AS gmc_color_rank_in_seg,
    v.n_colors::int AS gmc_seg_n_distinct_colors,
    v.entropy AS gmc_seg_color_entropy,
    v.top_share AS gmc_seg_top_color_share,
    v.missing_share AS gmc_seg_missing_color_share
FROM ranked AS r
INNER JOIN variety AS v
    ON
        v.t0_day = r.t0_day
        AND v.gen_key = r.gen_key
        AND v.model_variant = r.model_variant
WITH NO DATA;
