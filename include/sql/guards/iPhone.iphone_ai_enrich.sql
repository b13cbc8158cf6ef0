-- Guard:    storage_gb_fixed_ai to fit into an integer, and every score into a double precision
-- Mend:     correct the rows, or set what is not known to NULL. E-AI and its proof cast these columns.
SELECT
    u.listing_id,
    m.source_column,
    m.amount
FROM "iPhone".iphone_ai_enrich AS u
CROSS JOIN
    LATERAL (
        VALUES
        ('storage_gb_fixed_ai', u.storage_gb_fixed_ai::numeric, 0, -2147483648, 2147483647),
        ('negotiability_ai', u.negotiability_ai::numeric, 4e-324, -1.797693134862315e308, 1.797693134862315e308),
        ('urgency_ai', u.urgency_ai::numeric, 4e-324, -1.797693134862315e308, 1.797693134862315e308),
        ('lqs_textonly', u.lqs_textonly::numeric, 4e-324, -1.797693134862315e308, 1.797693134862315e308)
    ) AS m (source_column, amount, nearest, least, most)
WHERE
    (
        u.storage_gb_fixed_ai NOT BETWEEN -2147483648 AND 2147483647
        OR abs(u.negotiability_ai) > 1.797693134862315e308
        OR (abs(u.negotiability_ai) < 4e-324 AND u.negotiability_ai <> 0)
        OR abs(u.urgency_ai) > 1.797693134862315e308
        OR (abs(u.urgency_ai) < 4e-324 AND u.urgency_ai <> 0)
        OR abs(u.lqs_textonly) > 1.797693134862315e308
        OR (abs(u.lqs_textonly) < 4e-324 AND u.lqs_textonly <> 0)
    )
    -- NaN, infinity and 0 can be cast, so this guard ignores them; what is too near to 0 cannot.
    AND (abs(m.amount) < m.nearest OR m.amount NOT BETWEEN m.least AND m.most)
    AND m.amount NOT IN ('Infinity', '-Infinity', 'NaN', 0)
ORDER BY u.listing_id, m.source_column;
