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

color_prior AS (
    -- What was listed of each colour before each day. Whole numbers, exact in any order.
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

day_prior AS (
    -- Arrays by number, here and below: planners know nothing of steps like these, and must not be
    -- given many to join.
    SELECT
        p.day_no,
        sum(p.n) AS n_total,
        array_agg(p.n ORDER BY p.color_no) AS n_by_color
    FROM color_prior AS p
    GROUP BY p.day_no
),

-- A segment's counts stand still from the day after one with a listing to the next day with one.
-- Such a stretch is worked out once, and handed out to its days at the end. The number of a listing's
-- stretch is that of the first one that counts it, which begins on the day after.
counted AS (
    SELECT
        l.segment_no,
        l.color_no,
        l.day_no,
        l.n,
        dense_rank() OVER (PARTITION BY l.segment_no ORDER BY l.day_no) AS stretch_no
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
),

stretch AS (
    -- The embargo stands here.
    SELECT
        c.segment_no,
        c.stretch_no,
        c.day_no + 1 AS first_day_no,
        sum(sum(c.n)) OVER (PARTITION BY c.segment_no ORDER BY c.stretch_no) AS n_seg
    FROM counted AS c
    GROUP BY c.segment_no, c.stretch_no, c.day_no
),

stretches AS MATERIALIZED (
    SELECT
        s.segment_no,
        count(*) AS n,
        array_agg(s.first_day_no ORDER BY s.stretch_no) AS first_day_nos,
        array_agg(s.n_seg ORDER BY s.stretch_no) AS n_seg
    FROM stretch AS s
    GROUP BY s.segment_no
),

spell AS (
    -- A colour's count stands still even longer: to the stretch before the one that first counts its
    -- next listing.
    SELECT
        c.segment_no,
        c.color_no,
        sum(c.n) OVER by_stretch AS n,
        c.stretch_no AS first_stretch_no,
        lead(c.stretch_no) OVER by_stretch - 1 AS last_stretch_no
    FROM counted AS c
    WINDOW by_stretch AS (PARTITION BY c.segment_no, c.color_no ORDER BY c.stretch_no)
),

-- Kept apart by MATERIALIZED: else the arrays, which are wide, would be sorted with every row.
prior AS MATERIALIZED (
    SELECT
        g.stretch_no,
        s.segment_no,
        s.color_no,
        s.n AS n_color_in_seg,
        st.n_seg[g.stretch_no] AS n_seg
    FROM spell AS s
    INNER JOIN stretches AS st ON s.segment_no = st.segment_no
    CROSS JOIN
        generate_series(s.first_stretch_no, coalesce(s.last_stretch_no, st.n)) AS g (stretch_no)
),

within_segment AS (
    SELECT
        p.stretch_no,
        p.segment_no,
        p.color_no,
        p.n_color_in_seg,
        p.n_seg,
        CASE WHEN p.n_seg > 0 THEN p.n_color_in_seg / p.n_seg END AS raw_share
    FROM prior AS p
),

ranked AS (
    SELECT
        s.stretch_no,
        s.segment_no,
        s.color_no,
        s.n_color_in_seg,
        s.n_seg,
        dense_rank() OVER by_color AS color_rank,
        count(*) FILTER (WHERE s.n_color_in_seg > 0) OVER by_color AS n_distinct_colors,
        -- Floats add up differently in another order, so the most common colour comes first. Taken
        -- from zero instead of negated: a segment of one colour gets 0, not -0.
        0.0 - sum(
            CASE WHEN s.raw_share > 0 THEN s.raw_share * ln(s.raw_share) ELSE 0.0 END
        ) OVER by_color AS color_entropy,
        max(s.raw_share) OVER by_color AS top_color_share,
        max(s.raw_share) FILTER (
            WHERE s.color_no = (
                SELECT c.color_no FROM color AS c
                WHERE c.color_bucket = '_MISSING'
            )
        ) OVER by_color AS missing_color_share
    FROM within_segment AS s
    WINDOW
        by_color AS (
            PARTITION BY s.segment_no, s.stretch_no
            ORDER BY s.n_color_in_seg DESC
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        )
),

stretch_prior AS (
    -- What a stretch knows; beside the arrays, which are by colour, one value each.
    SELECT
        r.segment_no,
        r.stretch_no,
        array_agg(r.n_color_in_seg ORDER BY r.color_no) AS n_by_color,
        array_agg(r.color_rank ORDER BY r.color_no) AS rank_by_color,
        min(r.n_seg) AS n_seg,
        min(r.n_distinct_colors) AS n_distinct_colors,
        min(r.color_entropy) AS color_entropy,
        min(r.top_color_share) AS top_color_share,
        min(r.missing_color_share) AS missing_color_share
    FROM ranked AS r
    GROUP BY r.segment_no, r.stretch_no
),

day_segment AS (
    SELECT
        d.t0_day,
        d.n_segs,
        known.n_total,
        known.n_by_color,
        s.gen_key,
        s.model_variant,
        p.n_seg,
        p.n_by_color AS n_by_color_in_seg,
        p.rank_by_color,
        p.n_distinct_colors,
        p.color_entropy,
        p.top_color_share,
        p.missing_color_share
    FROM stretch_prior AS p
    INNER JOIN segment AS s ON p.segment_no = s.segment_no
    INNER JOIN stretches AS st ON p.segment_no = st.segment_no
    CROSS JOIN
        generate_series(
            st.first_day_nos[p.stretch_no],
            coalesce(st.first_day_nos[p.stretch_no + 1] - 1, (SELECT count(*) FROM day))
        ) AS g (day_no)
    INNER JOIN day AS d ON g.day_no = d.day_no
    INNER JOIN day_prior AS known ON g.day_no = known.day_no
    -- In the order of the key, byte by byte, which colours keep below: a concurrent refresh sorts
    -- whole rows, and finds them sorted. Only speed rests on it.
    ORDER BY g.day_no, p.segment_no
),

device AS (
    SELECT
        ds.t0_day,
        ds.gen_key,
        ds.model_variant,
        unnest((SELECT array_agg(c.color_bucket ORDER BY c.color_no) FROM color AS c)) AS color_bucket,
        ds.n_total,
        ds.n_segs,
        ds.n_seg,
        unnest(ds.n_by_color) AS n_color,
        unnest(ds.n_by_color_in_seg) AS n_color_in_seg,
        unnest(ds.rank_by_color) AS color_rank,
        ds.n_distinct_colors,
        ds.color_entropy,
        ds.top_color_share,
        ds.missing_color_share
    FROM day_segment AS ds
),

share AS (
    -- Half a listing more for every possibility, so that nothing is impossible.
    SELECT
        d.t0_day,
        d.gen_key,
        d.model_variant,
        d.color_bucket,
        d.n_seg,
        d.n_color_in_seg,
        d.n_color,
        (d.n_seg + 0.5) / (d.n_total + 0.5 * greatest(d.n_segs, 1.0)) AS seg_share,
        (d.n_color_in_seg + 0.5) / (d.n_seg + 0.5 * 22) AS color_share_in_seg,
        (d.n_color + 0.5) / (d.n_total + 0.5 * 22) AS color_share,
        d.color_rank,
        d.n_distinct_colors,
        d.color_entropy,
        d.top_color_share,
        d.missing_color_share
    FROM device AS d
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
