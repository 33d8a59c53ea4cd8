-- Our column on mPanel's tenants; see product_columns.

-- migrate:up
ALTER TABLE tenants
    ADD COLUMN IF NOT EXISTS billing_subscription_id uuid;

SELECT billing_record_additions('20261122000304');
SELECT billing_describe('tenants', described.column_name, described.description)
FROM (VALUES
    ('billing_subscription_id', 'The subscription that this tenant was made for; unique, so a subscription has at most one')
) AS described (column_name, description);

-- migrate:down
SELECT billing_revert_additions('20261122000304');
