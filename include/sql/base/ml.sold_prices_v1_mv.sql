-- Relation:   ml.sold_prices_v1_mv (D3), what buyers paid
-- Grain:      one row per unflagged source row with a sale and a price: duplicates are legal
-- As-of:      sold_day, the day on which the sale became known
-- Never sees: a flagged row
-- Refresh:    blocking (no key is possible, so never concurrently). Created empty.
CREATE MATERIALIZED VIEW ml.sold_prices_v1_mv AS
SELECT
    l.generation,
    l.storage_gb,
    l.sold_date::date AS sold_day,
    coalesce(l.real_sold_price, l.sold_price) AS sold_price
FROM "iPhone".iphone_listings AS l
WHERE
    l.spam IS NULL
    AND l.sold_date IS NOT NULL
    AND l.storage_gb IS NOT NULL
    AND coalesce(l.real_sold_price, l.sold_price) IS NOT NULL
WITH NO DATA;

CREATE INDEX sold_prices_v1_idx ON ml.sold_prices_v1_mv (generation, storage_gb, sold_day);

COMMENT ON MATERIALIZED VIEW ml.sold_prices_v1_mv IS
'D3: history of sale prices, the source of the value anchors. A reader at t0 may use earlier sold_days only.';
COMMENT ON COLUMN ml.sold_prices_v1_mv.generation IS
'Generation on the row that carries the sale.';
COMMENT ON COLUMN ml.sold_prices_v1_mv.storage_gb IS
'Storage in GB on the row that carries the sale; never NULL.';
COMMENT ON COLUMN ml.sold_prices_v1_mv.sold_day IS
'Day of the sale in the store''s zone: known from the next day on.';
COMMENT ON COLUMN ml.sold_prices_v1_mv.sold_price IS
'Price paid: real_sold_price if known (a zero counts as known), else sold_price.';
