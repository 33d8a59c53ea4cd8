-- What each server has to carry. An account that moves takes a place at both ends: at the new server as soon as
-- the move has begun, at the old one until it is terminated there. The sums are kept: billing_server_places.
CREATE OR REPLACE VIEW billing_server_load AS
SELECT
    s.product_type,
    s.name AS server,
    s.driver,
    sums.placed + sums.coming + sums.going AS accounts,
    sums.coming,
    sums.leaving,
    s.capacity,
    s.weight,
    s.tags,
    s.failures >= 3 AND s.failed_at > now() - interval '2 hours' AS is_failing,
    s.failing_since,
    s.failed_at,
    s.last_error,
    s.drained_by,
    s.drained_at,
    s.left_at
FROM billing_servers AS s
LEFT JOIN billing_server_places AS p
    ON p.product_type = s.product_type
    AND p.server = s.name
CROSS JOIN LATERAL (
    SELECT
        coalesce(p.placed, 0) + coalesce(sum(c.placed), 0)::integer AS placed,
        coalesce(p.coming, 0) + coalesce(sum(c.coming), 0)::integer AS coming,
        coalesce(p.leaving, 0) + coalesce(sum(c.leaving), 0)::integer AS leaving,
        coalesce(p.going, 0) + coalesce(sum(c.going), 0)::integer AS going
    FROM billing_server_changes AS c
    WHERE c.product_type = s.product_type
      AND c.server = s.name
) AS sums;
COMMENT ON VIEW billing_server_load IS 'What each server of PROVISIONING_SERVICES has to carry, and whether it gets new accounts';
COMMENT ON COLUMN billing_server_load.product_type IS 'hosting, email, storage, ...';
COMMENT ON COLUMN billing_server_load.server IS 'Its name in the setting';
COMMENT ON COLUMN billing_server_load.driver IS 'The driver that calls it';
COMMENT ON COLUMN billing_server_load.accounts IS 'Places that are taken: accounts, those to be made, and those that move here or are not terminated here yet';
COMMENT ON COLUMN billing_server_load.coming IS 'Of these, accounts that move here';
COMMENT ON COLUMN billing_server_load.leaving IS 'Of these, accounts that move away, and are still in use here';
COMMENT ON COLUMN billing_server_load.capacity IS 'Places that it has; null: any number';
COMMENT ON COLUMN billing_server_load.weight IS 'Its share of new accounts, in proportion to the others';
COMMENT ON COLUMN billing_server_load.tags IS 'What it offers';
COMMENT ON COLUMN billing_server_load.is_failing IS 'Whether new accounts are placed elsewhere, because its last three commands or more have failed';
COMMENT ON COLUMN billing_server_load.failing_since IS 'When the first of its commands failed since it last answered one; null: none has';
COMMENT ON COLUMN billing_server_load.failed_at IS 'When the last of them failed';
COMMENT ON COLUMN billing_server_load.last_error IS 'What came of the last of them';
COMMENT ON COLUMN billing_server_load.drained_by IS 'Who empties it; null: nobody';
COMMENT ON COLUMN billing_server_load.drained_at IS 'Since when it is emptied, and gets no new accounts';
COMMENT ON COLUMN billing_server_load.left_at IS 'Since when the setting does not name it any more; null: it does';
