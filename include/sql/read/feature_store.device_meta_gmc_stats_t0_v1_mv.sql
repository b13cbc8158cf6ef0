-- Relation:   feature_store.device_meta_gmc_stats_t0_v1_mv (F2), how common a device was
-- Grain:      one row per t0_day, gen_key, model_variant, color_bucket: every day that occurs, times
--             every segment, times 22 colours
-- As-of:      t0_day; every count is of strictly earlier days
-- Never sees: a listing of its own day or later
-- Refresh:    concurrent. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW feature_store.device_meta_gmc_stats_t0_v1_mv AS
WITH color AS (
    -- Numbered, like the segments: numbers sort faster than names, and in the same order anywhere.
    SELECT
        row_number() OVER (ORDER BY c.color_bucket COLLATE "C") AS color_no,
        c.color_bucket
    FROM (
        VALUES
        ('graphite'), ('black_titanium'), ('silver'), ('space_black'),
        ('midnight'), ('sierra_blue'), ('blue'), ('natural_titanium'),
        ('gold'), ('deep_purple'), ('white_titanium'), ('starlight'),
        ('desert_titanium'), ('blue_titanium'), ('black'), ('alpine_green'),
        ('pink'), ('green'), ('deep_blue'), ('cosmic_orange'),
        ('_MISSING'), ('_OTHER')
    ) AS c (color_bucket)
),

segment AS (
    -- A segment without a generation has no rows here, but it counts among the segments seen.
    SELECT
        row_number() OVER (ORDER BY n.gen_key, n.model_variant COLLATE "C") AS segment_no,
        n.gen_key,
        n.model_variant,
        min(n.t0_day) AS first_day
    FROM feature_store.device_count_day_v1_mv AS n
    GROUP BY n.gen_key, n.model_variant
),

day AS MATERIALIZED (
    SELECT
        d.t0_day,
        count(s.first_day)::float8 AS n_segs
    FROM (
        SELECT DISTINCT n.t0_day FROM feature_store.device_count_day_v1_mv AS n
        WHERE n.t0_day IS NOT NULL
    ) AS d
    LEFT JOIN segment AS s ON d.t0_day > s.first_day
    GROUP BY d.t0_day
),

color_prior AS (
    -- Walk each colour of each segment through the days; a day gets what was counted before it.
    SELECT
        d.t0_day,
        s.segment_no,
        c.color_no,
        d.n_segs,
        coalesce(
            sum(n.n::float8) OVER (
                PARTITION BY s.segment_no, c.color_no
                ORDER BY d.t0_day
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ),
            0.0
        ) AS n_color_in_seg
    FROM day AS d
    CROSS JOIN segment AS s
    CROSS JOIN color AS c
    LEFT JOIN feature_store.device_count_day_v1_mv AS n
        ON
            d.t0_day = n.t0_day
            AND s.gen_key = n.gen_key
            AND s.model_variant = n.model_variant
            AND c.color_bucket = n.color_bucket
    WHERE s.gen_key IS NOT NULL
),

prior AS (
    -- A day's totals are sums over its own rows: whole numbers, exact in any order.
    SELECT
        p.t0_day,
        p.segment_no,
        p.color_no,
        p.n_segs,
        p.n_color_in_seg,
        sum(p.n_color_in_seg) OVER (PARTITION BY p.t0_day) AS n_total,
        sum(p.n_color_in_seg) OVER (PARTITION BY p.t0_day, p.color_no) AS n_color,
        sum(p.n_color_in_seg) OVER (PARTITION BY p.t0_day, p.segment_no) AS n_seg
    FROM color_prior AS p
),

share AS (
    -- Half a listing more for every possibility, so that nothing is impossible.
    SELECT
        p.t0_day,
        p.segment_no,
        p.color_no,
        s.gen_key,
        s.model_variant,
        c.color_bucket,
        p.n_seg,
        p.n_color_in_seg,
        p.n_color,
        (p.n_seg + 0.5) / (p.n_total + 0.5 * greatest(p.n_segs, 1.0)) AS seg_share,
        (p.n_color_in_seg + 0.5) / (p.n_seg + 0.5 * 22) AS color_share_in_seg,
        (p.n_color + 0.5) / (p.n_total + 0.5 * 22) AS color_share,
        CASE WHEN p.n_seg > 0 THEN p.n_color_in_seg / p.n_seg END AS raw_share
    FROM prior AS p
    INNER JOIN segment AS s ON p.segment_no = s.segment_no
    INNER JOIN color AS c ON p.color_no = c.color_no
)

SELECT
    s.t0_day,
    s.gen_key,
    s.model_variant,
    s.color_bucket,
    s.n_seg::int AS gmc_seg_n,
    s.seg_share AS gmc_seg_share,
    s.n_color_in_seg::int AS gmc_color_n_in_seg,
    s.color_share_in_seg AS gmc_color_share_in_seg,
    -ln(greatest(s.color_share_in_seg, 1e-12)) AS gmc_color_rarity_score,
    s.n_color::int AS gmc_color_n_global,
    s.color_share AS gmc_color_share_global,
    -ln(greatest(s.color_share, 1e-12)) AS gmc_color_rarity_global,
    (dense_rank() OVER by_color)::int AS gmc_color_rank_in_seg,
    (count(*) FILTER (WHERE s.n_color_in_seg > 0) OVER by_color)::int
        AS gmc_seg_n_distinct_colors,
    -- Floats add up differently in another order, so the most common colour comes first. Taken
    -- from zero instead of negated: a segment of one colour gets 0, not -0.
    0.0 - sum(
        CASE WHEN s.raw_share > 0 THEN s.raw_share * ln(s.raw_share) ELSE 0.0 END
    ) OVER by_color AS gmc_seg_color_entropy,
    max(s.raw_share) OVER by_color AS gmc_seg_top_color_share,
    coalesce(max(s.raw_share) FILTER (WHERE s.color_bucket = '_MISSING') OVER by_color, 0.0)
        AS gmc_seg_missing_color_share
FROM share AS s
WINDOW
    by_color AS (
        PARTITION BY s.t0_day, s.segment_no
        ORDER BY s.n_color_in_seg DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
-- In the order of the key, byte by byte: a concurrent refresh sorts whole rows, and finds them sorted.
ORDER BY s.t0_day, s.segment_no, s.color_no
WITH NO DATA;

CREATE UNIQUE INDEX ux_device_meta_gmc_stats_t0_v1
ON feature_store.device_meta_gmc_stats_t0_v1_mv (t0_day, gen_key, model_variant, color_bucket);

COMMENT ON MATERIALIZED VIEW feature_store.device_meta_gmc_stats_t0_v1_mv IS
'F2: how common each segment and colour was among the listings of strictly earlier days. A new segment adds rows of zero to past days: compare existing keys.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.t0_day IS
'The day that the row answers for, in the store''s zone.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gen_key IS
'Generation of the segment.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.model_variant IS
'Model variant of the segment.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.color_bucket IS
'Colour.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_seg_n IS
'Listings of the same segment (gen_key, model_variant) first seen on earlier days.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_seg_share IS
'Smoothed share of the segment among all earlier listings that have a gen_key.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_color_n_in_seg IS
'Listings of the same segment and colour first seen on earlier days.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_color_share_in_seg IS
'Smoothed share of the colour within the segment''s earlier listings.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_color_rarity_score IS
'-ln(gmc_color_share_in_seg): the rarer within the segment, the higher.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_color_n_global IS
'Listings of the same colour, in any segment that has a gen_key, first seen on earlier days.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_color_share_global IS
'Smoothed share of the colour among all earlier listings that have a gen_key.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_color_rarity_global IS
'-ln(gmc_color_share_global): the rarer overall, the higher.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_color_rank_in_seg IS
'Dense rank of the colour within the segment by earlier listings, 1 the most common; all 1 on a segment''s first day.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_seg_n_distinct_colors IS
'Colours seen in the segment on earlier days.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_seg_color_entropy IS
'Entropy (natural log) of the segment''s colours over earlier listings; 0 on its first day.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_seg_top_color_share IS
'Share of the segment''s most common colour over earlier listings; NULL on its first day.';
COMMENT ON COLUMN feature_store.device_meta_gmc_stats_t0_v1_mv.gmc_seg_missing_color_share IS
'Share of the segment''s earlier listings without a colour; 0 on its first day.';
