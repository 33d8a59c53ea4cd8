"""Statements as mPanel's own code runs them on the tables that we share."""

DUE_TO_BILLER = """
SELECT s.id FROM subscriptions s
WHERE s.status = 'active' AND s.auto_renew AND s.next_billing_date <= CURRENT_DATE
"""

NEXT_INVOICE = """
INSERT INTO invoices (tenant_id, customer_id, invoice_number, status, subtotal, total)
SELECT $1, $2,
    'INV-' || extract(year FROM CURRENT_DATE) || '-' || lpad((count(*) + 1)::text, 6, '0'),
    'draft', 9.90, 9.90
FROM invoices WHERE tenant_id = $1
RETURNING invoice_number
"""

LIST_SUBSCRIPTIONS = """
SELECT s.id, s.status, s.billing_cycle, s.price, s.next_billing_date, s.next_due_date,
    s.auto_renew, s.created_at, p.name AS product_name, p.type AS product_type,
    coalesce(c.company_name, u.email) AS customer
FROM subscriptions s
LEFT JOIN products p ON p.id = s.product_id
LEFT JOIN customers c ON c.id = s.customer_id
LEFT JOIN users u ON u.id = c.user_id
WHERE s.tenant_id = $1
ORDER BY s.created_at DESC
"""

LIST_INVOICES = """
SELECT i.invoice_number, i.status, i.subtotal, i.tax_amount, i.total, i.currency, i.due_date,
    i.paid_date, i.created_at, c.id AS customer_id
FROM invoices i
LEFT JOIN customers c ON c.id = i.customer_id
WHERE i.tenant_id = $1
ORDER BY i.created_at DESC
"""

SUM_REVENUE = """
SELECT sum(total) FROM invoices
WHERE status = 'paid' AND paid_date >= date_trunc('month', CURRENT_DATE)
"""
