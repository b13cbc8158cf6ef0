-- Specification: for every generation, storage and day with an unflagged row (NULL counts as a value):
--                how many rows, and the median of their prices
-- Relation:      ml.ask_daily_median_v1 (D2)
-- Key:           generation, storage_gb, ask_day
-- Route:         The rows are numbered by price; the median is the middle one, or half way between
--                the two in the middle.
WITH ask AS (
    SELECT
        l.generation,
        l.storage_gb,
        date_trunc('day', l.edited_date)::date AS ask_day,
        l.price::float8 AS price
    FROM "iPhone".iphone_listings AS l
    WHERE l.spam IS NULL AND l.edited_date IS NOT NULL
),

numbered AS (
    SELECT
        a.*,
        row_number() OVER (
            PARTITION BY a.generation, a.storage_gb, a.ask_day ORDER BY a.price NULLS LAST
        ) AS place,
        count(a.price) OVER (PARTITION BY a.generation, a.storage_gb, a.ask_day) AS n
    FROM ask AS a
),

middle AS (
    SELECT
        m.generation,
        m.storage_gb,
        m.ask_day,
        max(m.price) FILTER (WHERE m.place = (m.n + 1) / 2) AS low,
        max(m.price) FILTER (WHERE m.place = (m.n + 2) / 2) AS high,
        count(*) AS ask_cnt
    FROM numbered AS m
    GROUP BY m.generation, m.storage_gb, m.ask_day
)

SELECT
    m.generation,
    m.storage_gb,
    m.ask_day,
    m.low + (m.high - m.low) * 0.5 AS ask_median_price,
    m.ask_cnt
FROM middle AS m
