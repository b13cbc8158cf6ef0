-- Forty days of eight stations, the same each time. One station is tested by the city's own people.
INSERT INTO city.counts (count_id, station_id, counted_at, bikes, docks, flag, emptied_at)
SELECT
    d.n * 100 + s.n AS count_id,
    s.n AS station_id,
    timestamptz '2026-05-22 06:30:00+00' + d.n * interval '1 day' AS counted_at,
    (d.n * 7 + s.n * 5) % 20 AS bikes,
    20 AS docks,
    CASE WHEN s.n = 8 AND d.n % 5 = 0 THEN 'Test' END AS flag,
    CASE
        WHEN (d.n * 3 + s.n) % 4 = 0
            THEN timestamptz '2026-05-22 17:00:00+00' + d.n * interval '1 day' + s.n * interval '1 minute'
    END AS emptied_at
FROM generate_series(0, 39) AS d (n)
CROSS JOIN generate_series(1, 8) AS s (n);

INSERT INTO city.weather (day, rain_mm)
SELECT
    date '2026-05-22' + d.n AS day,
    (d.n % 6) * 0.5 AS rain_mm
FROM generate_series(0, 39) AS d (n);
