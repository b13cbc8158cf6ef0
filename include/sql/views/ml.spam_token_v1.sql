-- Relation:   ml.spam_token_v1, the words that people put into the column spam
-- Grain:      one row per token, compared after trim(lower())
-- As-of:      not of time
-- Never sees: data
-- Refresh:    none, a plain view. Add a token here and in spam.toml, which every run checks against,
--             then replace the view and stamp the proofs. A token that is in neither place counts as
--             no spam and is reported.
CREATE VIEW ml.spam_token_v1 AS
SELECT
    v.token,
    v.is_spam
FROM (
    VALUES
    ('t', TRUE), ('true', TRUE), ('1', TRUE), ('yes', TRUE), ('y', TRUE),
    ('spam', TRUE), ('wtb', TRUE), ('wanted', TRUE), ('junk', TRUE), ('duplicate-junk', TRUE),
    ('bundled', TRUE), ('below13', TRUE),
    ('f', FALSE), ('false', FALSE), ('0', FALSE), ('no', FALSE), ('n', FALSE), ('', FALSE)
) AS v (token, is_spam);

COMMENT ON VIEW ml.spam_token_v1 IS
'Tokens of the source column spam and whether they mark spam.';
COMMENT ON COLUMN ml.spam_token_v1.token IS
'The token, trimmed and in lower case.';
COMMENT ON COLUMN ml.spam_token_v1.is_spam IS
'True if a listing with this token on any row is left out of E-clean and of everything above it.';
