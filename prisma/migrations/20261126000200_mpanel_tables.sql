-- mPanel's tables that this service uses, for a database that lacks them: mPanel's column names and
-- types, nothing of ours yet. On mPanel's own database this adds nothing.

-- migrate:up
DO $$
DECLARE
    foreign_table record;
BEGIN
    SELECT c.relname AS name, pg_get_userbyid(c.relowner) AS owner
    INTO foreign_table
    FROM pg_class AS c
    WHERE c.relnamespace = current_schema()::regnamespace
      AND c.relname IN ('tenants', 'users', 'products', 'customers', 'subscriptions', 'invoices', 'domains')
      AND NOT pg_has_role(c.relowner, 'USAGE')
    ORDER BY c.relname;
    IF FOUND THEN
        RAISE EXCEPTION
            'the role % cannot add columns to the table %, which belongs to %: migrate as the owner, or GRANT % TO %',
            current_user, foreign_table.name, foreign_table.owner, foreign_table.owner, current_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS tenants (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(255) NOT NULL,
    domain varchar(255) NOT NULL UNIQUE,
    status varchar(50) DEFAULT 'active',
    settings jsonb DEFAULT '{}',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid REFERENCES tenants ON DELETE CASCADE,
    email varchar(255) NOT NULL,
    password_hash varchar(255) NOT NULL,
    first_name varchar(100),
    last_name varchar(100),
    role varchar(50) DEFAULT 'customer',
    status varchar(50) DEFAULT 'active',
    email_verified boolean DEFAULT FALSE,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (tenant_id, email)
);

CREATE TABLE IF NOT EXISTS products (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid REFERENCES tenants ON DELETE CASCADE,
    name varchar(255) NOT NULL,
    description text,
    type varchar(50) NOT NULL,
    billing_cycle varchar(50),
    price decimal(10, 2) NOT NULL,
    setup_fee decimal(10, 2) DEFAULT 0,
    currency varchar(3) DEFAULT 'USD',
    taxable boolean DEFAULT TRUE,
    status varchar(50) DEFAULT 'active',
    metadata jsonb DEFAULT '{}',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS customers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid REFERENCES tenants ON DELETE CASCADE,
    user_id uuid REFERENCES users ON DELETE CASCADE,
    company_name varchar(255),
    address_line1 varchar(255),
    address_line2 varchar(255),
    city varchar(100),
    state varchar(100),
    postal_code varchar(20),
    country varchar(2),
    phone varchar(50),
    tax_id varchar(100),
    currency varchar(3) DEFAULT 'USD',
    credit_balance decimal(10, 2) DEFAULT 0,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS subscriptions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid REFERENCES tenants ON DELETE CASCADE,
    customer_id uuid REFERENCES customers ON DELETE CASCADE,
    product_id uuid REFERENCES products,
    status varchar(50) DEFAULT 'active',
    billing_cycle varchar(50),
    price decimal(10, 2) NOT NULL,
    next_billing_date date,
    next_due_date date,
    auto_renew boolean DEFAULT TRUE,
    metadata jsonb DEFAULT '{}',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS invoices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid REFERENCES tenants ON DELETE CASCADE,
    customer_id uuid REFERENCES customers ON DELETE CASCADE,
    invoice_number varchar(50) NOT NULL UNIQUE,
    status varchar(50) DEFAULT 'draft',
    subtotal decimal(10, 2) NOT NULL,
    tax_rate decimal(5, 4) DEFAULT 0,
    tax_amount decimal(10, 2) DEFAULT 0,
    total decimal(10, 2) NOT NULL,
    currency varchar(3) DEFAULT 'USD',
    due_date date,
    paid_date timestamp,
    notes text,
    metadata jsonb DEFAULT '{}',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE IF NOT EXISTS domains (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid REFERENCES tenants ON DELETE CASCADE,
    customer_id uuid REFERENCES customers ON DELETE CASCADE,
    subscription_id uuid REFERENCES subscriptions,
    domain_name varchar(255) NOT NULL,
    tld varchar(50) NOT NULL,
    status varchar(50) DEFAULT 'active',
    registrar varchar(100),
    registration_date date,
    expiry_date date,
    auto_renew boolean DEFAULT TRUE,
    nameservers jsonb DEFAULT '[]',
    metadata jsonb DEFAULT '{}',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
);

-- Finds the names under a name. Built in place: some domains for each customer.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS billing_domains_name_idx ON domains (
    reverse(lower(CASE WHEN domain_name LIKE '%.%' THEN domain_name ELSE domain_name || '.' || ltrim(tld, '.') END))
    text_pattern_ops
);

SELECT billing_record_additions('20261126000200');
SELECT billing_describe(described.table_name, NULL, described.description)
FROM (VALUES
    ('tenants', 'Hosting tenants: one per subscription, under its domain'),
    ('users', 'Accounts in mPanel; this service only reads e-mail addresses'),
    ('products', 'What is sold; those of this service have a code'),
    ('customers', 'Customers'),
    ('subscriptions', 'What was ordered; rows that Stripe bills have a billing_provider'),
    ('invoices', 'mPanel''s own invoices and the mirror of Stripe''s; the latter have a stripe_invoice_id'),
    ('domains', 'Domains that mPanel manages; this service only reads who has them')
) AS described (table_name, description);

-- migrate:down
DROP INDEX IF EXISTS billing_domains_name_idx;
SELECT billing_revert_additions('20261126000200');
