-- Our columns on mPanel's tenants.

-- migrate:up
ALTER TABLE tenants
    ADD COLUMN IF NOT EXISTS billing_subscription_id uuid,
    ADD COLUMN IF NOT EXISTS billing_former_domain text;
-- Finds the names under a name. Built in place: a second for a million tenants, once.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS billing_tenants_domain_idx ON tenants (reverse(lower(domain)) text_pattern_ops);

SELECT billing_record_additions('20261126000700');
SELECT billing_describe('tenants', described.column_name, described.description)
FROM (VALUES
    ('billing_subscription_id', 'The subscription that this tenant was created for; unique: a subscription has at most one tenant'),
    ('billing_former_domain', 'The domain that it had until its services were terminated; null: it still has its domain')
) AS described (column_name, description);

-- migrate:down
DROP INDEX billing_tenants_domain_idx;
SELECT billing_revert_additions('20261126000700');
