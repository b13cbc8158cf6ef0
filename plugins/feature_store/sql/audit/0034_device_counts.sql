-- The history of the device counts was called F1, as the view is that they are counted of. It is called by its
-- own name; its baseline and what was found of it stay.
UPDATE feature_store_audit.history_layer AS h SET layer = 'device counts'
WHERE h.layer = 'F1' AND h.definitions ? 'feature_store.device_count_day_v1_mv';
UPDATE feature_store_audit.history_day AS d SET layer = 'device counts'
WHERE d.layer = 'F1' AND EXISTS (
    SELECT FROM feature_store_audit.history_layer AS h
    WHERE h.layer = 'device counts'
);
UPDATE feature_store_audit.history_row AS r SET layer = 'device counts'
WHERE r.layer = 'F1' AND EXISTS (
    SELECT FROM feature_store_audit.history_layer AS h
    WHERE h.layer = 'device counts'
);
UPDATE feature_store_audit.history_change AS c SET layer = 'device counts'
WHERE c.layer = 'F1' AND EXISTS (
    SELECT FROM feature_store_audit.history_layer AS h
    WHERE h.layer = 'device counts'
);
UPDATE feature_store_audit.history_finding_log AS f SET layer = 'device counts'
WHERE f.layer = 'F1' AND f.relation = 'feature_store.device_count_day_v1_mv';
