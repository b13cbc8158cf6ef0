-- Specification: the 22 colours that devices are told apart by
-- Relation:      feature_store.device_color_v1
-- Key:           color_bucket
-- Route:         A list by the alphabet, not the list of the file.
SELECT unnest(
    ARRAY[
        'alpine_green', 'black', 'black_titanium', 'blue', 'blue_titanium', 'cosmic_orange', 'deep_blue',
        'deep_purple', 'desert_titanium', 'gold', 'graphite', 'green', 'midnight', 'natural_titanium',
        'pink', 'sierra_blue', 'silver', 'space_black', 'starlight', 'white_titanium', '_MISSING', '_OTHER'
    ]
) AS color_bucket
