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

day AS (
    SELECT
        d.t0_day,
        row_number() OVER (ORDER BY d.t0_day) AS day_no,
        (
            SELECT count(*) FROM segment AS s
            WHERE s.first_day < d.t0_day
        )::float8 AS n_segs
    FROM (
        SELECT DISTINCT n.t0_day FROM feature_store.device_count_day_v1_mv AS n
        WHERE n.t0_day IS NOT NULL
    ) AS d
),

listed AS (
    SELECT
        d.day_no,
        s.segment_no,
        c.color_no,
        n.n::float8 AS n
    FROM feature_store.device_count_day_v1_mv AS n
    INNER JOIN day AS d ON n.t0_day = d.t0_day
    INNER JOIN segment AS s ON n.gen_key = s.gen_key AND n.model_variant = s.model_variant
    INNER JOIN color AS c ON n.color_bucket = c.color_bucket
),

-- What was listed before each day: of each segment, of each colour, of all. Whole numbers, exact in
-- any order. Arrays by number, so that one look-up by day brings them all: planners know nothing of
-- steps like these, and must not be given many to join.
segment_prior AS (
    SELECT
        d.day_no,
        s.segment_no,
        coalesce(
            sum(sum(l.n)) OVER (
                PARTITION BY s.segment_no
                ORDER BY d.day_no
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ),
            0.0
        ) AS n
    FROM day AS d
    CROSS JOIN segment AS s
    LEFT JOIN listed AS l ON d.day_no = l.day_no AND s.segment_no = l.segment_no
    GROUP BY d.day_no, s.segment_no
),

color_prior AS (
    SELECT
        d.day_no,
        c.color_no,
        coalesce(
            sum(sum(l.n)) OVER (
                PARTITION BY c.color_no
                ORDER BY d.day_no
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ),
            0.0
        ) AS n
    FROM day AS d
    CROSS JOIN color AS c
    LEFT JOIN listed AS l ON d.day_no = l.day_no AND c.color_no = l.color_no
    GROUP BY d.day_no, c.color_no
),

segment_row AS (
    SELECT
        p.day_no,
        sum(p.n) AS n_total,
        array_agg(p.n ORDER BY p.segment_no) AS n_by_segment
    FROM segment_prior AS p
    GROUP BY p.day_no
),

color_row AS (
    SELECT
        p.day_no,
        array_agg(p.n ORDER BY p.color_no) AS n_by_color
    FROM color_prior AS p
    GROUP BY p.day_no
),

day_prior AS MATERIALIZED (
    SELECT
        d.day_no,
        d.t0_day,
        d.n_segs,
        s.n_total,
        s.n_by_segment,
        c.n_by_color
    FROM day AS d
    INNER JOIN segment_row AS s ON d.day_no = s.day_no
    INNER JOIN color_row AS c ON d.day_no = c.day_no
),

spell AS (
    -- A colour is listed in a segment on few days: the count at the end of one stands from the next
    -- day on, to the end of the next one with a listing.
    SELECT
        l.segment_no,
        l.color_no,
        l.day_no + 1 AS from_day_no,
        lead(l.day_no, 1, (SELECT count(*) FROM day)) OVER by_day AS to_day_no,
        sum(l.n) OVER by_day AS n
    FROM (
        SELECT
            l.segment_no,
            l.color_no,
            l.day_no,
            l.n
        FROM listed AS l
        UNION ALL
        -- Before the first day there is nothing of anything.
        SELECT
            s.segment_no,
            c.color_no,
            0 AS day_no,
            0.0 AS n
        FROM segment AS s
        CROSS JOIN color AS c
        WHERE s.gen_key IS NOT NULL
    ) AS l
    WINDOW by_day AS (PARTITION BY l.segment_no, l.color_no ORDER BY l.day_no)
),

prior AS (
    SELECT
        g.day_no,
        s.segment_no,
        s.color_no,
        s.n AS n_color_in_seg,
        d.n_by_segment[s.segment_no] AS n_seg,
        CASE
            WHEN d.n_by_segment[s.segment_no] > 0 THEN s.n / d.n_by_segment[s.segment_no]
        END AS raw_share
    FROM spell AS s
    CROSS JOIN generate_series(s.from_day_no, s.to_day_no) AS g (day_no)
    INNER JOIN day_prior AS d ON g.day_no = d.day_no
),

ranked AS (
    SELECT
        p.day_no,
        p.segment_no,
        p.color_no,
        p.n_color_in_seg,
        p.n_seg,
        dense_rank() OVER by_color AS color_rank,
        count(*) FILTER (WHERE p.n_color_in_seg > 0) OVER by_color AS n_distinct_colors,
        -- Floats add up differently in another order, so the most common colour comes first. Taken
        -- from zero instead of negated: a segment of one colour gets 0, not -0.
        0.0 - sum(
            CASE WHEN p.raw_share > 0 THEN p.raw_share * ln(p.raw_share) ELSE 0.0 END
        ) OVER by_color AS color_entropy,
        max(p.raw_share) OVER by_color AS top_color_share,
        max(p.raw_share) FILTER (
            WHERE p.color_no = (
                SELECT c.color_no FROM color AS c
                WHERE c.color_bucket = '_MISSING'
            )
        ) OVER by_color AS missing_color_share
    FROM prior AS p
    WINDOW
        by_color AS (
            PARTITION BY p.day_no, p.segment_no
            ORDER BY p.n_color_in_seg DESC
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        )
    -- In the order of the key, byte by byte: a concurrent refresh sorts whole rows, and finds them
    -- sorted. Only speed rests on it: names are looked up in what is small, which keeps the order.
    ORDER BY p.day_no, p.segment_no, p.color_no
),

share AS (
    -- Half a listing more for every possibility, so that nothing is impossible.
    SELECT
        d.t0_day,
        s.gen_key,
        s.model_variant,
        c.color_bucket,
        r.n_seg,
        r.n_color_in_seg,
        d.n_by_color[r.color_no] AS n_color,
        (r.n_seg + 0.5) / (d.n_total + 0.5 * greatest(d.n_segs, 1.0)) AS seg_share,
        (r.n_color_in_seg + 0.5) / (r.n_seg + 0.5 * 22) AS color_share_in_seg,
        (d.n_by_color[r.color_no] + 0.5) / (d.n_total + 0.5 * 22) AS color_share,
        r.color_rank,
        r.n_distinct_colors,
        r.color_entropy,
        r.top_color_share,
        r.missing_color_share
    FROM ranked AS r
    INNER JOIN day_prior AS d ON r.day_no = d.day_no
    INNER JOIN segment AS s ON r.segment_no = s.segment_no
    INNER JOIN color AS c ON r.color_no = c.color_no
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
    coalesce(s.missing_color_share, 0.0) AS gmc_seg_missing_color_share
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
