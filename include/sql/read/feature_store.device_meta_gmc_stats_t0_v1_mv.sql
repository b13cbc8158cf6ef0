-- Relation:   feature_store.device_meta_gmc_stats_t0_v1_mv (F2), how common a device was
-- Grain:      one row per t0_day, gen_key, model_variant, color_bucket: every day that occurs, times
--             every segment, times 22 colours
-- As-of:      t0_day; every count is of strictly earlier days
-- Never sees: a listing of its own day or later
-- Refresh:    concurrent. Created empty; the first refresh fills it.
CREATE MATERIALIZED VIEW feature_store.device_meta_gmc_stats_t0_v1_mv AS
WITH color AS (
    SELECT
        c.color_bucket,
        row_number() OVER (ORDER BY c.color_bucket COLLATE "C") AS color_no
    FROM feature_store.device_color_v1 AS c
),

segment AS (
    -- A segment without a generation has no rows here, but it counts among the segments seen.
    SELECT
        n.gen_key,
        n.model_variant,
        row_number() OVER (ORDER BY n.gen_key, n.model_variant COLLATE "C") AS segment_no,
        min(n.t0_day) AS first_day
    FROM feature_store.device_count_day_v1_mv AS n
    GROUP BY n.gen_key, n.model_variant
),

-- A segment's counts change only after a day with a listing, so each stretch of days between two such
-- days is computed once. The stretch's number says how many days with a listing came before it.
listed AS (
    SELECT
        n.t0_day,
        s.segment_no,
        c.color_no,
        n.n::float8 AS n,
        dense_rank() OVER (PARTITION BY s.segment_no ORDER BY n.t0_day) AS stretch_no
    FROM feature_store.device_count_day_v1_mv AS n
    INNER JOIN segment AS s ON n.gen_key = s.gen_key AND n.model_variant = s.model_variant
    INNER JOIN color AS c ON n.color_bucket = c.color_bucket
    WHERE n.t0_day IS NOT NULL
),

stretch AS (
    SELECT
        l.segment_no,
        l.stretch_no,
        l.t0_day AS day_before,
        sum(sum(l.n)) OVER (PARTITION BY l.segment_no ORDER BY l.stretch_no) AS n_seg
    FROM listed AS l
    GROUP BY l.segment_no, l.stretch_no, l.t0_day
    UNION ALL
    SELECT
        s.segment_no,
        0 AS stretch_no,
        NULL AS day_before,
        0.0 AS n_seg
    FROM segment AS s
    WHERE s.gen_key IS NOT NULL
),

counted AS (
    SELECT
        s.segment_no,
        s.stretch_no,
        s.n_seg,
        c.color_no,
        c.color_bucket,
        coalesce(sum(l.n) OVER (PARTITION BY s.segment_no, c.color_no ORDER BY s.stretch_no), 0.0) AS n
    FROM stretch AS s
    CROSS JOIN color AS c
    LEFT JOIN listed AS l
        ON s.segment_no = l.segment_no AND s.stretch_no = l.stretch_no AND c.color_no = l.color_no
),

ranked AS (
    SELECT
        c.*,
        c.n / nullif(c.n_seg, 0.0) AS raw_share,
        dense_rank() OVER (PARTITION BY c.segment_no, c.stretch_no ORDER BY c.n DESC) AS color_rank
    FROM counted AS c
),

mixed AS (
    -- Values by colour are kept in arrays in the order of the colours, here and below. Joined row by row
    -- they take many times as long, because the planner misjudges the number of rows.
    SELECT
        r.segment_no,
        r.stretch_no,
        r.n_seg,
        array_agg(r.n ORDER BY r.color_no) AS n_by_color,
        array_agg(r.color_rank ORDER BY r.color_no) AS rank_by_color,
        count(*) FILTER (WHERE r.n > 0) AS n_distinct_colors,
        -- The order of adding changes a sum of floats, so it is fixed: the most common colour first.
        -- Subtracted from zero, not negated: a segment of one colour gets 0, not -0.
        0.0 - coalesce(sum(r.raw_share * ln(r.raw_share) ORDER BY r.n DESC) FILTER (WHERE r.n > 0), 0.0)
            AS color_entropy,
        max(r.raw_share) AS top_color_share,
        coalesce(max(r.raw_share) FILTER (WHERE r.color_bucket = '_MISSING'), 0.0) AS missing_color_share
    FROM ranked AS r
    GROUP BY r.segment_no, r.stretch_no, r.n_seg
),

color_day AS (
    -- Listings of each colour before each day. Whole numbers: exact in any order.
    SELECT
        d.t0_day,
        c.color_no,
        c.color_bucket,
        coalesce(
            sum(sum(l.n)) OVER (
                PARTITION BY c.color_no
                ORDER BY d.t0_day
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ),
            0.0
        ) AS n
    FROM (
        SELECT DISTINCT n.t0_day FROM feature_store.device_count_day_v1_mv AS n
        WHERE n.t0_day IS NOT NULL
    ) AS d
    CROSS JOIN color AS c
    LEFT JOIN listed AS l ON d.t0_day = l.t0_day AND c.color_no = l.color_no
    GROUP BY d.t0_day, c.color_no, c.color_bucket
),

day AS (
    SELECT
        c.t0_day,
        sum(c.n) AS n_all,
        count(*) AS n_colors,
        array_agg(c.color_bucket ORDER BY c.color_no) AS colors,
        array_agg(c.n ORDER BY c.color_no) AS n_by_color,
        (
            SELECT count(*) FROM segment AS s
            WHERE s.first_day < c.t0_day
        )::float8 AS n_segs
    FROM color_day AS c
    GROUP BY c.t0_day
),

segment_day AS (
    SELECT
        d.t0_day,
        s.segment_no,
        s.gen_key,
        s.model_variant,
        count(l.day_before) OVER (
            PARTITION BY s.segment_no
            ORDER BY d.t0_day
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS stretch_no
    FROM day AS d
    CROSS JOIN segment AS s
    LEFT JOIN stretch AS l ON d.t0_day = l.day_before AND s.segment_no = l.segment_no
    WHERE s.gen_key IS NOT NULL
),

known AS (
    SELECT
        s.t0_day,
        s.gen_key,
        s.model_variant,
        unnest(d.colors) AS color_bucket,
        d.n_all,
        d.n_segs,
        d.n_colors,
        unnest(d.n_by_color) AS n_color,
        m.n_seg,
        unnest(m.n_by_color) AS n_color_in_seg,
        unnest(m.rank_by_color) AS color_rank,
        m.n_distinct_colors,
        m.color_entropy,
        m.top_color_share,
        m.missing_color_share
    FROM segment_day AS s
    INNER JOIN day AS d ON s.t0_day = d.t0_day
    INNER JOIN mixed AS m ON s.segment_no = m.segment_no AND s.stretch_no = m.stretch_no
    -- In the order of the key, byte by byte, as the colours are: this only makes a concurrent refresh
    -- faster (docs/decisions/ordered-rows.md).
    ORDER BY s.t0_day, s.segment_no
),

share AS (
    -- Smoothing: half a listing is added for each possibility, so that no share is 0.
    SELECT
        k.*,
        (k.n_seg + 0.5) / (k.n_all + 0.5 * greatest(k.n_segs, 1.0)) AS seg_share,
        (k.n_color_in_seg + 0.5) / (k.n_seg + 0.5 * k.n_colors) AS color_share_in_seg,
        (k.n_color + 0.5) / (k.n_all + 0.5 * k.n_colors) AS color_share
    FROM known AS k
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
    s.color_rank::int AS gmc_color_rank_in_seg,
    s.n_distinct_colors::int AS gmc_seg_n_distinct_colors,
    s.color_entropy AS gmc_seg_color_entropy,
    s.top_color_share AS gmc_seg_top_color_share,
    s.missing_color_share AS gmc_seg_missing_color_share
FROM share AS s
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
