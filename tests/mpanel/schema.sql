-- mPanel's schema as far as this service meets it: its tables, indexes and triggers.

CREATE FUNCTION uuid_generate_v4() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()';

CREATE TABLE tenants (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    name varchar(255) NOT NULL,
    domain varchar(255) UNIQUE NOT NULL,
    status varchar(50) DEFAULT 'active',
    settings jsonb DEFAULT '{}',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
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

CREATE TABLE products (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
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

CREATE TABLE customers (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
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

CREATE TABLE subscriptions (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
    customer_id uuid REFERENCES customers (id) ON DELETE CASCADE,
    product_id uuid REFERENCES products (id),
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

CREATE TABLE invoices (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
    customer_id uuid REFERENCES customers (id) ON DELETE CASCADE,
    invoice_number varchar(50) UNIQUE NOT NULL,
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

CREATE TABLE invoice_items (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    invoice_id uuid REFERENCES invoices (id) ON DELETE CASCADE,
    subscription_id uuid REFERENCES subscriptions (id),
    product_id uuid REFERENCES products (id),
    description text NOT NULL,
    quantity int DEFAULT 1,
    unit_price decimal(10, 2) NOT NULL,
    amount decimal(10, 2) NOT NULL,
    taxable boolean DEFAULT TRUE,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE payments (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
    customer_id uuid REFERENCES customers (id) ON DELETE CASCADE,
    invoice_id uuid REFERENCES invoices (id),
    amount decimal(10, 2) NOT NULL,
    currency varchar(3) DEFAULT 'USD',
    payment_method varchar(50),
    transaction_id varchar(255),
    status varchar(50) DEFAULT 'pending',
    metadata jsonb DEFAULT '{}',
    created_at timestamp DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE domains (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
    customer_id uuid REFERENCES customers (id) ON DELETE CASCADE,
    subscription_id uuid REFERENCES subscriptions (id),
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

CREATE TABLE audit_logs (
    id uuid PRIMARY KEY DEFAULT uuid_generate_v4(),
    tenant_id uuid REFERENCES tenants (id) ON DELETE CASCADE,
    user_id uuid REFERENCES users (id),
    action varchar(100) NOT NULL,
    entity_type varchar(50),
    entity_id uuid,
    changes jsonb,
    ip_address varchar(45),
    user_agent text,
    created_at timestamp DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX idx_subscriptions_customer ON subscriptions (customer_id);
CREATE INDEX idx_subscriptions_next_billing ON subscriptions (next_billing_date);
CREATE INDEX idx_invoices_customer ON invoices (customer_id);
CREATE INDEX idx_invoices_status ON invoices (status);
CREATE INDEX idx_products_tenant_type ON products (tenant_id, type);
COMMENT ON TABLE customers IS 'mPanel''s own words, which stay';

CREATE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = clock_timestamp();
    RETURN NEW;
END
$$;
CREATE TRIGGER update_tenants_updated_at BEFORE UPDATE ON tenants
FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_users_updated_at BEFORE UPDATE ON users
FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_products_updated_at BEFORE UPDATE ON products
FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_customers_updated_at BEFORE UPDATE ON customers
FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_subscriptions_updated_at BEFORE UPDATE ON subscriptions
FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_invoices_updated_at BEFORE UPDATE ON invoices
FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_payments_updated_at BEFORE UPDATE ON payments
FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();
CREATE TRIGGER update_domains_updated_at BEFORE UPDATE ON domains
FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

-- These two tables have no such column: their trigger must not choke on that.
CREATE FUNCTION leave_row_alone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN NEW;
END
$$;
CREATE TRIGGER update_invoice_items_updated_at BEFORE UPDATE ON invoice_items
FOR EACH ROW EXECUTE FUNCTION leave_row_alone();
CREATE TRIGGER update_audit_logs_updated_at BEFORE UPDATE ON audit_logs
FOR EACH ROW EXECUTE FUNCTION leave_row_alone();
