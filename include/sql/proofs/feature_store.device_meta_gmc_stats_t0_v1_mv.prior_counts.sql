-- Proof:      F2's counts are of strictly earlier days, and its shares follow from them
-- Relation:   feature_store.device_meta_gmc_stats_t0_v1_mv (F2)
-- Rule:       every day times every segment times 22 colours is there, and nothing else; gmc_seg_n,
--             gmc_color_n_in_seg and gmc_color_n_global are equal, the three shares within 1e-9.
--             Listings without a t0 day or a gen_key are in no count; a segment without a gen_key
--             is among the segments seen. Every t0 day of F0 is there, if any listing of F0 has a
--             generation: else neither route might have a row, and both agree on nothing.
-- Route:      F2 walks a full grid of days. Here each count is summed by itself over the days on
--             which it grew, and holds from the day after until the next such day.
WITH color (color_bucket) AS (
    VALUES
    ('_MISSING'), ('_OTHER'), ('alpine_green'), ('black'), ('black_titanium'), ('blue'),
    ('blue_titanium'), ('cosmic_orange'), ('deep_blue'), ('deep_purple'), ('desert_titanium'),
    ('gold'), ('graphite'), ('green'), ('midnight'), ('natural_titanium'), ('pink'),
    ('sierra_blue'), ('silver'), ('space_black'), ('starlight'), ('white_titanium')
),

day AS MATERIALIZED (
    SELECT
        d.t0_day,
        row_number() OVER (ORDER BY d.t0_day) AS day_no,
        count(*) OVER () AS last_no
    FROM (
        SELECT DISTINCT n.t0_day FROM feature_store.device_count_day_v1_mv AS n
        WHERE n.t0_day IS NOT NULL
    ) AS d
),

growth AS (
    -- The same listings at four levels: a segment's colour, a segment, a colour, everything.
    SELECT
        d.day_no,
        d.last_no,
        n.gen_key,
        n.model_variant,
        n.color_bucket,
        sum(n.n) AS n
    FROM feature_store.device_count_day_v1_mv AS n
    INNER JOIN day AS d ON n.t0_day = d.t0_day
    WHERE n.gen_key IS NOT NULL
    GROUP BY
        d.day_no,
        d.last_no,
        GROUPING SETS (
            (n.gen_key, n.model_variant, n.color_bucket),
            (n.gen_key, n.model_variant),
            (n.color_bucket),
            ()
        )
),

level AS (
    SELECT
        g.gen_key,
        g.model_variant,
        g.color_bucket,
        g.day_no + 1 AS from_no,
        coalesce(lead(g.day_no) OVER by_key, g.last_no) AS until_no,
        (sum(g.n) OVER by_key)::bigint AS n
    FROM growth AS g
    WINDOW by_key AS (PARTITION BY g.gen_key, g.model_variant, g.color_bucket ORDER BY g.day_no)
),

known AS MATERIALIZED (
    SELECT
        held.day_no,
        l.gen_key,
        l.model_variant,
        l.color_bucket,
        l.n
    FROM level AS l
    CROSS JOIN generate_series(l.from_no, l.until_no) AS held (day_no)
),

segment AS MATERIALIZED (
    SELECT
        n.gen_key,
        n.model_variant,
        min(d.day_no) AS first_no
    FROM feature_store.device_count_day_v1_mv AS n
    LEFT JOIN day AS d ON n.t0_day = d.t0_day
    GROUP BY n.gen_key, n.model_variant
),

total AS MATERIALIZED (
    -- Materialized: once a day, not once for every row that needs it.
    SELECT
        d.t0_day,
        d.day_no,
        coalesce(k.n, 0) AS n_total,
        (
            SELECT count(*) FROM segment AS s
            WHERE s.first_no < d.day_no
        ) AS n_segs
    FROM day AS d
    LEFT JOIN known AS k
        ON
            d.day_no = k.day_no
            AND k.gen_key IS NULL
            AND k.color_bucket IS NULL
),

recount AS (
    SELECT
        t.t0_day,
        s.gen_key,
        s.model_variant,
        c.color_bucket,
        t.n_total,
        t.n_segs,
        coalesce(in_seg.n, 0) AS n_seg,
        coalesce(in_both.n, 0) AS n_color_in_seg,
        coalesce(in_color.n, 0) AS n_color
    FROM total AS t
    CROSS JOIN segment AS s
    CROSS JOIN color AS c
    LEFT JOIN known AS in_seg
        ON
            t.day_no = in_seg.day_no
            AND s.gen_key = in_seg.gen_key
            AND s.model_variant = in_seg.model_variant
            AND in_seg.color_bucket IS NULL
    LEFT JOIN known AS in_both
        ON
            t.day_no = in_both.day_no
            AND s.gen_key = in_both.gen_key
            AND s.model_variant = in_both.model_variant
            AND c.color_bucket = in_both.color_bucket
    LEFT JOIN known AS in_color
        ON
            t.day_no = in_color.day_no
            AND in_color.gen_key IS NULL
            AND c.color_bucket = in_color.color_bucket
    WHERE s.gen_key IS NOT NULL
),

expected AS (
    SELECT
        r.t0_day,
        r.gen_key,
        r.model_variant,
        r.color_bucket,
        r.n_seg,
        r.n_color_in_seg,
        r.n_color,
        (r.n_seg + 0.5::float8) / (r.n_total + 0.5 * greatest(r.n_segs, 1)) AS seg_share,
        (r.n_color_in_seg + 0.5::float8) / (r.n_seg + 11) AS color_share_in_seg,
        (r.n_color + 0.5::float8) / (r.n_total + 11) AS color_share
    FROM recount AS r
),

judged AS MATERIALIZED (
    SELECT
        coalesce(f.t0_day, x.t0_day) AS t0_day,
        coalesce(f.gen_key, x.gen_key) AS gen_key,
        coalesce(f.model_variant, x.model_variant) AS model_variant,
        coalesce(f.color_bucket, x.color_bucket) AS color_bucket,
        f.gmc_seg_n,
        f.gmc_seg_share,
        f.gmc_color_n_in_seg,
        f.gmc_color_share_in_seg,
        f.gmc_color_n_global,
        f.gmc_color_share_global,
        x.n_seg,
        x.seg_share,
        x.n_color_in_seg,
        x.color_share_in_seg,
        x.n_color,
        x.color_share,
        (
            f.gmc_seg_n = x.n_seg
            AND f.gmc_color_n_in_seg = x.n_color_in_seg
            AND f.gmc_color_n_global = x.n_color
            AND abs(f.gmc_seg_share - x.seg_share) <= 1e-9 * x.seg_share
            AND abs(f.gmc_color_share_in_seg - x.color_share_in_seg) <= 1e-9 * x.color_share_in_seg
            AND abs(f.gmc_color_share_global - x.color_share) <= 1e-9 * x.color_share
        ) IS NOT TRUE AS is_broken
    FROM feature_store.device_meta_gmc_stats_t0_v1_mv AS f
    FULL JOIN expected AS x
        ON
            f.t0_day = x.t0_day
            AND f.gen_key = x.gen_key
            AND f.model_variant = x.model_variant
            AND f.color_bucket = x.color_bucket
),

uncounted AS (
    SELECT DISTINCT f.edited_date::date AS t0_day
    FROM feature_store.listing_device_features_clean_mv AS f
    WHERE
        f.edited_date IS NOT NULL
        AND EXISTS (
            SELECT 1 FROM feature_store.listing_device_features_clean_mv AS g
            WHERE g.generation IS NOT NULL
        )
    EXCEPT
    SELECT d.t0_day
    FROM day AS d
    WHERE
        EXISTS (
            SELECT 1 FROM segment AS s
            WHERE s.gen_key IS NOT NULL
        )
),

sample AS (
    SELECT * FROM judged AS j
    WHERE j.is_broken
    ORDER BY j.t0_day, j.gen_key, j.model_variant, j.color_bucket
    LIMIT 20
)

SELECT
    count(*) AS compared,
    count(*) FILTER (WHERE j.is_broken) + (SELECT count(*) FROM uncounted) AS broken,
    (
        SELECT
            coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'key', jsonb_build_object('t0_day', u.t0_day),
                        'observed', jsonb_build_object('is_counted', FALSE),
                        'expected', jsonb_build_object('is_counted', TRUE)
                    )
                    ORDER BY u.t0_day
                ),
                '[]'
            )
        FROM uncounted AS u
    ) || (
        SELECT
            coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'key', jsonb_build_object(
                            't0_day', s.t0_day,
                            'gen_key', s.gen_key,
                            'model_variant', s.model_variant,
                            'color_bucket', s.color_bucket
                        ),
                        'observed', jsonb_build_object(
                            'gmc_seg_n', s.gmc_seg_n,
                            'gmc_seg_share', s.gmc_seg_share,
                            'gmc_color_n_in_seg', s.gmc_color_n_in_seg,
                            'gmc_color_share_in_seg', s.gmc_color_share_in_seg,
                            'gmc_color_n_global', s.gmc_color_n_global,
                            'gmc_color_share_global', s.gmc_color_share_global
                        ),
                        'expected', jsonb_build_object(
                            'gmc_seg_n', s.n_seg,
                            'gmc_seg_share', s.seg_share,
                            'gmc_color_n_in_seg', s.n_color_in_seg,
                            'gmc_color_share_in_seg', s.color_share_in_seg,
                            'gmc_color_n_global', s.n_color,
                            'gmc_color_share_global', s.color_share
                        )
                    )
                    ORDER BY s.t0_day, s.gen_key, s.model_variant, s.color_bucket
                ),
                '[]'
            )
        FROM sample AS s
    ) AS sample
FROM judged AS j;
