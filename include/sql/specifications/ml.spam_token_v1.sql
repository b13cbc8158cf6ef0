-- Specification: the words that mark spam, and those that say that there is none
-- Relation:      ml.spam_token_v1
-- Key:           token
-- Route:         The two lists of include/spam.toml, which replace the names with a colon.
SELECT
    spam.token,
    TRUE AS is_spam
FROM unnest(ARRAY[:spam_tokens]) AS spam (token)
UNION ALL
SELECT
    none.token,
    FALSE AS is_spam
FROM unnest(ARRAY[:no_spam_tokens]::text[]) AS none (token)
