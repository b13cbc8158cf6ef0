-- Days of eight stations, the same each time; one of them is tested by the city's own people:
--
--   psql -d bikes -v days=365 -v last_day=2026-11-28 -f examples/bike_stations/seed.sql
--
-- days      how many days there are (40)
-- last_day  the last of them (2026-06-30)
\if :{?days} \else \set days 40 \endif
\if :{?last_day} \else \set last_day 2026-06-30 \endif
INSERT INTO city.counts (count_id, station_id, counted_at, bikes, docks, flag, emptied_at)
SELECT
    d.n * 100 + s.n AS count_id,
    s.n AS station_id,
    d.midnight + interval '6 hours 30 minutes' AS counted_at,
    (d.n * 7 + s.n * 5) % 20 AS bikes,
    20 AS docks,
    CASE WHEN s.n = 8 AND d.n % 5 = 0 THEN 'Test' END AS flag,
    CASE WHEN (d.n * 3 + s.n) % 4 = 0 THEN d.midnight + interval '17 hours' + s.n * interval '1 minute' END AS emptied_at
FROM (
    SELECT
        g.n,
        (:'last_day'::date - :days + 1 + g.n)::timestamp AT TIME ZONE 'UTC' AS midnight
    FROM generate_series(0, :days - 1) AS g (n)
) AS d
CROSS JOIN generate_series(1, 8) AS s (n);

INSERT INTO city.weather (day, rain_mm)
SELECT
    :'last_day'::date - :days + 1 + d.n AS day,
    (d.n % 6) * 0.5 AS rain_mm
FROM generate_series(0, :days - 1) AS d (n);
