-- Specification: the words that mark spam, and those that say that there is none
-- Relation:      ml.spam_token_v1
-- Key:           token
-- Route:         Two lists in the words of the semantics.
SELECT
    spam.token,
    TRUE AS is_spam
FROM
    string_to_table(
        't,true,1,yes,y,spam,wtb,wanted,duplicate-junk,junk,bundled,below13', ','
    ) AS spam (token)
UNION ALL
SELECT
    none.token,
    FALSE AS is_spam
FROM string_to_table('f,false,0,no,n,', ',') AS none (token)
