-- Our column on mPanel's tenants.

-- migrate:up
ALTER TABLE tenants
    ADD COLUMN IF NOT EXISTS billing_subscription_id uuid;

SELECT billing_record_additions('20261126000700');
SELECT billing_describe('tenants', described.column_name, described.description)
FROM (VALUES
    ('billing_subscription_id', 'The subscription that this tenant was created for; unique: a subscription has at most one tenant')
) AS described (column_name, description);

-- migrate:down
SELECT billing_revert_additions('20261126000700');
