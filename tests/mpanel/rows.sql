-- A small mPanel at work: two tenants, one with everything. Ids: kind in the first digits.

INSERT INTO tenants (id, name, domain, status, settings, created_at, updated_at) VALUES
('10000000-0000-4000-8000-000000000001', 'Hopper Systems', 'hopper.example', 'active', '{"plan": "old"}', '2024-02-01', '2024-02-02'),
('10000000-0000-4000-8000-000000000002', 'Empty Ltd', 'empty.example', 'suspended', '{}', '2024-03-01', '2024-03-02');

INSERT INTO users (id, tenant_id, email, password_hash, first_name, last_name, role, email_verified, created_at, updated_at) VALUES
('20000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', 'Grace@Hopper.example', 'x', 'Grace', 'Hopper', 'admin', TRUE, '2024-02-01', '2024-02-02'),
('20000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000001', 'mark@hopper.example', 'x', 'Mark', 'One', 'customer', FALSE, '2024-02-01', '2024-02-02');

INSERT INTO products (id, tenant_id, name, type, billing_cycle, price, created_at, updated_at) VALUES
('30000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', 'Old Hosting', 'hosting', 'monthly', 9.90, '2024-02-01', '2024-02-02'),
('30000000-0000-4000-8000-000000000002', NULL, 'House Hosting', 'hosting', 'annually', 99.00, '2024-02-01', '2024-02-02');

INSERT INTO customers (id, tenant_id, user_id, company_name, country, credit_balance, created_at, updated_at) VALUES
('40000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', '20000000-0000-4000-8000-000000000001', 'Hopper Systems', 'US', 12.50, '2024-02-01', '2024-02-02'),
('40000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000001', NULL, 'No Account Inc.', 'DE', 0, '2024-02-01', '2024-02-02');

INSERT INTO subscriptions (id, tenant_id, customer_id, product_id, status, billing_cycle, price, next_billing_date, next_due_date, auto_renew, metadata, created_at, updated_at) VALUES
('50000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000001', '30000000-0000-4000-8000-000000000001', 'active', 'monthly', 9.90, '2024-03-01', '2024-03-08', TRUE, '{"note": "kept"}', '2024-02-01', '2024-02-02'),
('50000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000002', '30000000-0000-4000-8000-000000000002', 'fraud', 'annually', 99.00, NULL, NULL, NULL, NULL, '2024-02-01', '2024-02-02');

INSERT INTO invoices (id, tenant_id, customer_id, invoice_number, status, subtotal, tax_rate, tax_amount, total, due_date, paid_date, created_at, updated_at) VALUES
('60000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000001', 'INV-2026-000001', 'paid', 9.90, 0.1900, 1.88, 11.78, '2024-02-08', '2024-02-03', '2024-02-01', '2024-02-02'),
('60000000-0000-4000-8000-000000000002', '10000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000001', 'INV-2026-000002', 'sent', 9.90, 0.1900, 1.88, 11.78, '2024-03-08', NULL, '2024-03-01', '2024-03-02');

INSERT INTO invoice_items (id, invoice_id, subscription_id, product_id, description, unit_price, amount, created_at) VALUES
('70000000-0000-4000-8000-000000000001', '60000000-0000-4000-8000-000000000001', '50000000-0000-4000-8000-000000000001', '30000000-0000-4000-8000-000000000001', 'Old Hosting', 9.90, 9.90, '2024-02-01');

INSERT INTO payments (id, tenant_id, customer_id, invoice_id, amount, payment_method, transaction_id, status, created_at, updated_at) VALUES
('80000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000001', '60000000-0000-4000-8000-000000000001', 11.78, 'card', 'tx_1', 'completed', '2024-02-03', '2024-02-03');

INSERT INTO domains (id, tenant_id, customer_id, subscription_id, domain_name, tld, registration_date, expiry_date, created_at, updated_at) VALUES
('90000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000001', '50000000-0000-4000-8000-000000000001', 'hopper', 'example', '2024-02-01', '2025-02-01', '2024-02-01', '2024-02-02');

INSERT INTO audit_logs (id, tenant_id, user_id, action, entity_type, entity_id, changes, created_at) VALUES
('a0000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', '20000000-0000-4000-8000-000000000001', 'login', 'user', '20000000-0000-4000-8000-000000000001', '{"ok": true}', '2024-02-01');
