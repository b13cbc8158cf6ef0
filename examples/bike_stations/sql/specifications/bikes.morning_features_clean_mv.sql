-- Specification: E's counts without those that carry a flag of spam.toml
-- Relation:      bikes.morning_features_clean_mv (E-clean)
-- Key:           count_id
-- Route:         joins the flags of spam.toml, which replace :spam_tokens.
WITH flagged AS (
    SELECT DISTINCT c.count_id
    FROM city.counts AS c
    WHERE lower(btrim(c.flag)) IN (:spam_tokens)
)

SELECT e.* -- noqa: AM04
FROM bikes.morning_features_mv AS e
LEFT JOIN flagged AS f ON e.count_id = f.count_id
WHERE f.count_id IS NULL
