-- Guard:    a grid (days, times segments, times 22 colours) of no more rows than most_device_rows in
--           include/thresholds.toml
-- Mend:     correct the impossible generations (model_effective_generation of the images overrides the
--           listing's), or flag the listings as spam. If the store has really grown, raise the number.
WITH segment AS (
    SELECT
        c.gen_key,
        c.model_variant,
        sum(c.n) AS listings
    FROM feature_store.device_count_day_v1_mv AS c
    WHERE c.gen_key IS NOT NULL
    GROUP BY c.gen_key, c.model_variant
),

grid AS (
    SELECT
        (
            SELECT count(DISTINCT c.t0_day) FROM feature_store.device_count_day_v1_mv AS c
        ) AS days,
        (SELECT count(*) FROM segment) AS segments,
        (SELECT count(*) FROM feature_store.device_color_v1) AS colors
),

known AS (
    -- What F2's latest refresh saw; before the first refresh F2 itself has no rows to ask.
    SELECT
        s.gen_key,
        s.model_variant
    FROM feature_store_audit.latest_refresh AS r
    INNER JOIN feature_store_audit.fact AS f
        ON r.refresh_id = f.refresh_id AND f.fact = 'device segments'
    CROSS JOIN LATERAL jsonb_to_recordset(f.sample) AS s (gen_key bigint, model_variant text)
    WHERE r.relation = 'feature_store.device_meta_gmc_stats_t0_v1_mv'
)

SELECT
    s.gen_key,
    s.model_variant,
    s.listings,
    CASE
        WHEN k.gen_key IS NULL THEN 'new since the last refresh'
        ELSE 'known'
    END AS segment,
    g.days * g.segments * g.colors AS grid_rows,
    g.days,
    g.segments
FROM segment AS s
CROSS JOIN grid AS g
LEFT JOIN known AS k ON s.gen_key = k.gen_key AND s.model_variant = k.model_variant
WHERE g.days * g.segments * g.colors > :most_device_rows
ORDER BY k.gen_key IS NULL DESC, s.listings ASC, s.gen_key ASC, s.model_variant ASC;
