-- Which version of a view's entry in the catalog the certified rows were looked at by, so that nobody
-- has to read them all to see whether they are still the same.
ALTER TABLE feature_store_audit.certified
ADD COLUMN version text;
COMMENT ON COLUMN feature_store_audit.certified.version IS
'The transaction that had written the view''s row of pg_class. A concurrent refresh by hand, GRANT and ALTER write it anew: the rows then tell.';
