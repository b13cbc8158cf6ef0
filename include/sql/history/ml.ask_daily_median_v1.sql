-- History:    D2, what sellers asked
-- Role:       input
-- Relation:   ml.ask_daily_median_v1
-- Day:        the day of the asks
-- Key:        generation, storage_gb
-- Counts:     ask_cnt. A listing that is scraped again counts once more.
-- Known:      listings behind the rows, by day
SELECT
    a.ask_day AS day,
    a.generation,
    a.storage_gb,
    a.ask_median_price,
    a.ask_cnt
FROM ml.ask_daily_median_v1 AS a
