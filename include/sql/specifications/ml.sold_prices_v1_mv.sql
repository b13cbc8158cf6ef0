-- Specification: each unflagged row that has been sold, with storage and a price: the day of the sale,
--                and the real price if known, else the sold price
-- Relation:      ml.sold_prices_v1_mv (D3)
-- Key:           none
-- Route:         First the rows with a real price, then those with only a sold price.
SELECT
    l.generation,
    l.storage_gb,
    date_trunc('day', l.sold_date)::date AS sold_day,
    l.real_sold_price AS sold_price
FROM "iPhone".iphone_listings AS l
WHERE
    l.spam IS NULL
    AND NOT (l.sold_date IS NULL OR l.storage_gb IS NULL OR l.real_sold_price IS NULL)
UNION ALL
SELECT
    l.generation,
    l.storage_gb,
    date_trunc('day', l.sold_date)::date AS sold_day,
    l.sold_price
FROM "iPhone".iphone_listings AS l
WHERE
    l.spam IS NULL
    AND l.real_sold_price IS NULL
    AND NOT (l.sold_date IS NULL OR l.storage_gb IS NULL OR l.sold_price IS NULL)
