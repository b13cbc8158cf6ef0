-- Relation:   feature_store.device_color_v1, the colours that devices are told apart by
-- Grain:      one row per colour
-- As-of:      not of time
-- Never sees: data
-- Refresh:    none, a plain view. The only list of the colours; F3 has a column for each.
CREATE VIEW feature_store.device_color_v1 AS
SELECT v.color_bucket
FROM (
    VALUES
    ('graphite'), ('black_titanium'), ('silver'), ('space_black'), ('midnight'), ('sierra_blue'),
    ('blue'), ('natural_titanium'), ('gold'), ('deep_purple'), ('white_titanium'), ('starlight'),
    ('desert_titanium'), ('blue_titanium'), ('black'), ('alpine_green'), ('pink'), ('green'),
    ('deep_blue'), ('cosmic_orange'), ('_MISSING'), ('_OTHER')
) AS v (color_bucket);

COMMENT ON VIEW feature_store.device_color_v1 IS
'The 20 known colours, _OTHER for any other, _MISSING for none. Case counts.';
COMMENT ON COLUMN feature_store.device_color_v1.color_bucket IS
'The colour.';
