-- Guard:    every count to fit into an integer, and every share into a double precision
-- Mend:     correct the rows, or set what is not known to NULL. F1 casts these columns of all rows.
SELECT
    u.generation,
    u.listing_id,
    m.source_column,
    m.amount
FROM feature_store.device_image_features_unified_v1 AS u
CROSS JOIN
    LATERAL (
        VALUES
        ('image_count', u.image_count::numeric, 0, -2147483648, 2147483647),
        ('n_color_votes', u.n_color_votes::numeric, 0, -2147483648, 2147483647),
        ('color_primary_vote_share', u.color_primary_vote_share::numeric, 4e-324, -1.797693134862315e308, 1.797693134862315e308),
        ('color_vote_margin_share', u.color_vote_margin_share::numeric, 4e-324, -1.797693134862315e308, 1.797693134862315e308)
    ) AS m (source_column, amount, nearest, least, most)
WHERE
    (
        u.image_count NOT BETWEEN -2147483648 AND 2147483647
        OR u.n_color_votes NOT BETWEEN -2147483648 AND 2147483647
        OR abs(u.color_primary_vote_share) > 1.797693134862315e308
        OR (abs(u.color_primary_vote_share) < 4e-324 AND u.color_primary_vote_share <> 0)
        OR abs(u.color_vote_margin_share) > 1.797693134862315e308
        OR (abs(u.color_vote_margin_share) < 4e-324 AND u.color_vote_margin_share <> 0)
    )
    -- NaN, infinity and 0 can be cast, so this guard ignores them; what is too near to 0 cannot.
    AND (abs(m.amount) < m.nearest OR m.amount NOT BETWEEN m.least AND m.most)
    AND m.amount NOT IN ('Infinity', '-Infinity', 'NaN', 0)
ORDER BY u.generation, u.listing_id, m.source_column;
