-- Witness of bikes.mornings_mv (A): the newest day of the city's counts. Counts with a later moment
-- (from a wrong clock) do not count: one of them would hide for ever that no more counts come.
INSERT INTO feature_store_audit.fact (refresh_id, fact, n, sample)
SELECT
    :refresh_id AS refresh_id,
    'rows of the newest day' AS fact,
    count(*) AS n,
    jsonb_build_array(jsonb_build_object('day', max(m.counted_at::date))) AS sample
FROM bikes.mornings_mv AS m
WHERE
    m.counted_at::date = (
        SELECT max(n.counted_at::date) FROM bikes.mornings_mv AS n
        WHERE n.counted_at <= transaction_timestamp() AND isfinite(n.counted_at)
    )
    AND m.counted_at <= transaction_timestamp();
