-- Expectation: the spam that E-clean's latest refresh saw was recorded with it
-- Relation:    ml.tom_features_v1_enriched_clean_mv
-- Severity:    critical
-- Without it the other expectations of this suite would find nothing whatever there is.
WITH recorded AS (
    SELECT
        s.refresh_id,
        count(*) AS n
    FROM feature_store_audit.spam_seen AS s
    GROUP BY s.refresh_id
)

SELECT
    r.refresh_id,
    f.n AS flagged,
    coalesce(d.n, 0) AS recorded
FROM feature_store_audit.latest_refresh AS r
LEFT JOIN feature_store_audit.fact AS f
    ON r.refresh_id = f.refresh_id AND f.fact = 'listings flagged as spam'
LEFT JOIN recorded AS d ON r.refresh_id = d.refresh_id
WHERE
    r.relation = 'ml.tom_features_v1_enriched_clean_mv'
    AND f.n IS DISTINCT FROM coalesce(d.n, 0);
