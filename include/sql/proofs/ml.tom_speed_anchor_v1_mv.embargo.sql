-- Proof:      no speed anchor uses a sale of its own day or later, or of more than 90 days before
-- Relation:   ml.tom_speed_anchor_v1_mv (D4)
-- Rule:       anchor_day - 90 <= min_sold_day_used <= max_sold_day_used < anchor_day, and both are
--             the first and the last day of a sale of the cohort in those ninety days.
-- Route:      D4 takes both from the sales that it summed. Here a window over the days on which a
--             cohort sold anything finds them.
WITH calendar AS (
    SELECT DISTINCT
        c.generation,
        c.sbucket,
        c.ptv_bucket,
        s.sold_day AS day,
        s.sold_day
    FROM ml.sold_durations_v1_mv AS s
    INNER JOIN ml.tom_speed_cohort_v1 AS c ON s.listing_id = c.listing_id
    UNION ALL
    SELECT
        d.generation,
        d.sbucket,
        d.ptv_bucket,
        d.anchor_day AS day,
        NULL AS sold_day
    FROM ml.tom_speed_anchor_v1_mv AS d
),

expected AS (
    SELECT
        c.generation,
        c.sbucket,
        c.ptv_bucket,
        c.day AS anchor_day,
        c.sold_day,
        min(c.sold_day) OVER ninety_days AS first_day,
        max(c.sold_day) OVER ninety_days AS last_day
    FROM calendar AS c
    WINDOW
        ninety_days AS (
            PARTITION BY c.generation, c.sbucket, c.ptv_bucket
            ORDER BY c.day
            RANGE BETWEEN INTERVAL '90 days' PRECEDING AND INTERVAL '1 day' PRECEDING
        )
),

judged AS MATERIALIZED (
    SELECT
        d.anchor_day,
        d.generation,
        d.sbucket,
        d.ptv_bucket,
        d.min_sold_day_used,
        d.max_sold_day_used,
        x.first_day,
        x.last_day,
        (
            d.max_sold_day_used < d.anchor_day
            AND d.min_sold_day_used >= d.anchor_day - 90
            AND d.min_sold_day_used = x.first_day
            AND d.max_sold_day_used = x.last_day
        ) IS NOT TRUE AS is_broken
    FROM ml.tom_speed_anchor_v1_mv AS d
    LEFT JOIN expected AS x
        ON
            d.anchor_day = x.anchor_day
            AND d.generation = x.generation
            AND d.sbucket = x.sbucket
            AND d.ptv_bucket = x.ptv_bucket
            AND x.sold_day IS NULL
),

sample AS (
    SELECT * FROM judged AS j
    WHERE j.is_broken
    ORDER BY j.anchor_day, j.generation, j.sbucket, j.ptv_bucket
    LIMIT 20
)

SELECT
    count(*) AS compared,
    count(*) FILTER (WHERE j.is_broken) AS broken,
    (
        SELECT
            coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'key', jsonb_build_object(
                            'anchor_day', s.anchor_day,
                            'generation', s.generation,
                            'sbucket', s.sbucket,
                            'ptv_bucket', s.ptv_bucket
                        ),
                        'observed', jsonb_build_object(
                            'min_sold_day_used', s.min_sold_day_used,
                            'max_sold_day_used', s.max_sold_day_used
                        ),
                        'expected', jsonb_build_object(
                            'min_sold_day_used', s.first_day,
                            'max_sold_day_used', s.last_day
                        )
                    )
                    ORDER BY s.anchor_day, s.generation, s.sbucket, s.ptv_bucket
                ),
                '[]'
            )
        FROM sample AS s
    ) AS sample
FROM judged AS j;
