-- History:    D3, what buyers paid
-- Role:       input
-- Relation:   ml.sold_prices_v1_mv
-- Day:        the day of the sale
-- Key:        none, several equal rows are legal: rows come and go, none changes
-- Known:      listings behind the rows, by day
SELECT
    s.sold_day AS day,
    s.generation,
    s.storage_gb,
    s.sold_price
FROM ml.sold_prices_v1_mv AS s
