-- What a reader must know to read a feature set by its name alone, shown where readers look: by which column
-- it knows a row, where t0 stands, and in which time zone days were taken. The record itself stays closed to them.
CREATE VIEW feature_log.logged_sets AS
SELECT
    l.feature_set,
    l.entity,
    l.t0_relation,
    l.t0_column,
    (
        SELECT r.zone
        FROM feature_store_audit.certified AS c
        INNER JOIN feature_store_audit.refresh AS r ON c.refresh_id = r.refresh_id
        ORDER BY c.event_id DESC
        LIMIT 1
    ) AS zone
FROM feature_store_audit.feature_log AS l;
COMMENT ON VIEW feature_log.logged_sets IS
'The feature sets that have a log, and what a reader must know to read one by its name.';
COMMENT ON COLUMN feature_log.logged_sets.feature_set IS 'Its name';
COMMENT ON COLUMN feature_log.logged_sets.entity IS
'The column that a row is about, in the set''s relation and in all that is joined to it';
COMMENT ON COLUMN feature_log.logged_sets.t0_relation IS 'Where an entity''s t0 stands, as SQL names it';
COMMENT ON COLUMN feature_log.logged_sets.t0_column IS 'Its column there';
COMMENT ON COLUMN feature_log.logged_sets.zone IS
'The time zone in which the certified rows took days; NULL before the first certification';
