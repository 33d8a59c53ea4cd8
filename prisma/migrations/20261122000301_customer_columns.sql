-- Our columns on mPanel's customers; see product_columns.

-- migrate:up
ALTER TABLE customers
    ADD COLUMN IF NOT EXISTS email text,
    ADD COLUMN IF NOT EXISTS name text,
    ADD COLUMN IF NOT EXISTS stripe_customer_id text,
    ADD COLUMN IF NOT EXISTS metadata jsonb DEFAULT '{}';

SELECT billing_record_additions('20261122000301');
SELECT billing_describe('customers', described.column_name, described.description)
FROM (VALUES
    ('email', 'Where the buyer is written to, as given; compared in lower case. Of a customer with an account in mPanel, users.email counts as well'),
    ('name', 'Whom to address'),
    ('stripe_customer_id', 'Her principal Stripe customer (cus_...); others of hers are in stripe_customers'),
    ('metadata', 'firstSubscriptionId: the order that made this customer')
) AS described (column_name, description);

-- migrate:down
SELECT billing_revert_additions('20261122000301');
