-- Which version of a materialized view's rows a refresh left, so that nobody has to read them all to
-- see whether they are still the same.
ALTER TABLE feature_store_audit.refresh
ADD COLUMN version text;
COMMENT ON COLUMN feature_store_audit.refresh.version IS
'The transaction that wrote the view''s row of pg_class, as the refresh left it. Every REFRESH writes it anew; until then the rows are those of outcome.';
