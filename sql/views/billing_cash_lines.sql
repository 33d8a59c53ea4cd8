-- Money that came and went, by payment, refund and dispute; and the taxes that are part of it, by document. Each branch has an
-- index by the time that it is of.
CREATE OR REPLACE VIEW billing_cash_lines AS
SELECT
    c.livemode,
    c.stripe_created AS at,
    'collected'::text AS kind,
    c.stripe_charge_id AS object_id,
    c.currency,
    c.amount_captured AS amount
FROM stripe_charges AS c
WHERE c.status = 'succeeded'
UNION ALL
SELECT
    r.livemode,
    r.stripe_created,
    'refunded',
    r.stripe_refund_id,
    r.currency,
    r.amount
FROM stripe_refunds AS r
WHERE r.status NOT IN ('failed', 'canceled')
UNION ALL
-- as billing_taken_back_v1: the bank has the money from the chargeback on, unless it is won
SELECT
    d.livemode,
    d.stripe_created,
    'disputed',
    d.stripe_dispute_id,
    d.currency,
    d.amount
FROM stripe_disputes AS d
WHERE d.status IN ('needs_response', 'under_review', 'appeal_needs_response', 'appeal_under_review', 'lost')
UNION ALL
SELECT
    t.livemode,
    t.at,
    'tax',
    t.document_id,
    t.currency,
    t.tax
FROM billing_tax_lines AS t;
COMMENT ON VIEW billing_cash_lines IS 'Money that came and went, by payment, refund and dispute, and the taxes of documents';
COMMENT ON COLUMN billing_cash_lines.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_cash_lines.at IS 'When: the payment, the refund, the dispute; of taxes, the document';
COMMENT ON COLUMN billing_cash_lines.kind IS 'collected, refunded, disputed or tax';
COMMENT ON COLUMN billing_cash_lines.object_id IS 'Stripe''s id: ch_..., re_..., du_..., in_... or cn_...';
COMMENT ON COLUMN billing_cash_lines.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_cash_lines.amount IS 'Minor units; taxes that were given back are negative';
