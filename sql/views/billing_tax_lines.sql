-- The taxes of each document, by rate: of invoices since they were finalized, less those that were voided, credit
-- notes, and refunds without one. Such a refund gives back its part of each tax of its invoice: a part of the
-- sum of all refunds until then, less what the ones before had, so that refunds of all give back all.
-- Each branch has an index by the time that it is of.
CREATE OR REPLACE VIEW billing_tax_lines AS
SELECT
    document.livemode,
    document.at,
    document.kind,
    document.document_id,
    document.stripe_invoice_id,
    document.stripe_customer_id,
    rate.country,
    coalesce(rate.jurisdiction, rate.state_code, rate.country) AS jurisdiction,
    rate.display_name AS tax_name,
    rate.percentage AS rate,
    document.inclusive,
    document.reason,
    document.net,
    document.tax,
    document.currency,
    document.tax_rate AS stripe_tax_rate_id
FROM (
    SELECT
        i.livemode,
        i.finalized_at AS at,
        'invoice'::text AS kind,
        i.stripe_invoice_id AS document_id,
        i.stripe_invoice_id,
        i.stripe_customer_id,
        lower(i.currency) AS currency,
        line.tax_rate,
        line.inclusive,
        line.reason,
        line.net,
        line.amount AS tax
    FROM invoices AS i
    CROSS JOIN LATERAL jsonb_to_recordset(i.taxes) AS line (
        tax_rate text, inclusive boolean, reason text, net bigint, amount bigint
    )
    WHERE i.taxes IS NOT NULL
      AND i.finalized_at IS NOT NULL
    UNION ALL
    SELECT
        i.livemode,
        i.voided_at,
        'voided_invoice',
        i.stripe_invoice_id,
        i.stripe_invoice_id,
        i.stripe_customer_id,
        lower(i.currency),
        line.tax_rate,
        line.inclusive,
        line.reason,
        -line.net,
        -line.amount
    FROM invoices AS i
    CROSS JOIN LATERAL jsonb_to_recordset(i.taxes) AS line (
        tax_rate text, inclusive boolean, reason text, net bigint, amount bigint
    )
    WHERE i.taxes IS NOT NULL
      AND i.voided_at IS NOT NULL
      AND i.finalized_at IS NOT NULL
    UNION ALL
    SELECT
        n.livemode,
        n.stripe_created,
        'credit_note',
        n.stripe_credit_note_id,
        n.stripe_invoice_id,
        n.stripe_customer_id,
        n.currency,
        line.tax_rate,
        line.inclusive,
        line.reason,
        -line.net,
        -line.amount
    FROM stripe_credit_notes AS n
    CROSS JOIN LATERAL jsonb_to_recordset(n.taxes) AS line (
        tax_rate text, inclusive boolean, reason text, net bigint, amount bigint
    )
    WHERE n.taxes IS NOT NULL
    UNION ALL
    SELECT
        n.livemode,
        n.voided_at,
        'voided_credit_note',
        n.stripe_credit_note_id,
        n.stripe_invoice_id,
        n.stripe_customer_id,
        n.currency,
        line.tax_rate,
        line.inclusive,
        line.reason,
        line.net,
        line.amount
    FROM stripe_credit_notes AS n
    CROSS JOIN LATERAL jsonb_to_recordset(n.taxes) AS line (
        tax_rate text, inclusive boolean, reason text, net bigint, amount bigint
    )
    WHERE n.taxes IS NOT NULL
      AND n.voided_at IS NOT NULL
    UNION ALL
    SELECT
        r.livemode,
        r.stripe_created,
        'refund',
        r.stripe_refund_id,
        i.stripe_invoice_id,
        i.stripe_customer_id,
        lower(i.currency),
        line.tax_rate,
        line.inclusive,
        line.reason,
        -(round(line.net * until.now / whole.total) - round(line.net * until.before / whole.total))::bigint,
        -(round(line.amount * until.now / whole.total) - round(line.amount * until.before / whole.total))::bigint
    FROM stripe_refunds AS r
    CROSS JOIN LATERAL (
        SELECT p.stripe_invoice_id
        FROM invoice_payments AS p
        WHERE p.stripe_payment_intent_id = r.stripe_payment_intent_id
          AND p.status = 'paid'
        ORDER BY p.stripe_created, p.stripe_invoice_payment_id
        LIMIT 1
    ) AS paid
    JOIN invoices AS i
        ON i.stripe_invoice_id = paid.stripe_invoice_id
    CROSS JOIN LATERAL (
        -- the total at Stripe, before credit notes
        SELECT i.amount_invoiced + coalesce(sum(n.amount_before_payment), 0) AS total
        FROM stripe_credit_notes AS n
        WHERE n.stripe_invoice_id = i.stripe_invoice_id
          AND n.status = 'issued'
    ) AS whole
    CROSS JOIN LATERAL (
        -- what refunds have given back that no credit note stands for, until this one and before it
        SELECT
            coalesce(sum(given.amount), 0) AS now,
            coalesce(sum(given.amount) FILTER (WHERE given.id <> r.stripe_refund_id), 0) AS before
        FROM (
            SELECT
                other.stripe_refund_id AS id,
                other.amount - coalesce((
                    SELECT sum((part.value ->> 'amount')::bigint)
                    FROM stripe_credit_notes AS n
                    CROSS JOIN LATERAL jsonb_array_elements(n.refunds) AS part
                    WHERE n.stripe_invoice_id = i.stripe_invoice_id
                      AND n.status = 'issued'
                      AND part.value ->> 'refund' = other.stripe_refund_id
                ), 0) AS amount
            FROM invoice_payments AS p
            JOIN stripe_refunds AS other
                ON other.stripe_payment_intent_id = p.stripe_payment_intent_id
            WHERE p.stripe_invoice_id = i.stripe_invoice_id
              AND p.status = 'paid'
              AND other.status NOT IN ('failed', 'canceled')
              AND (other.stripe_created, other.stripe_refund_id) <= (r.stripe_created, r.stripe_refund_id)
        ) AS given
    ) AS until
    CROSS JOIN LATERAL jsonb_to_recordset(i.taxes) AS line (
        tax_rate text, inclusive boolean, reason text, net bigint, amount bigint
    )
    WHERE r.status NOT IN ('failed', 'canceled')
      AND i.taxes IS NOT NULL
      AND whole.total > 0
      AND until.now > until.before
) AS document
LEFT JOIN stripe_tax_rates AS rate
    ON rate.stripe_tax_rate_id = document.tax_rate;
COMMENT ON VIEW billing_tax_lines IS 'The taxes of invoices, and of what was taken back of them, by document and rate; amounts in minor units';
COMMENT ON COLUMN billing_tax_lines.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_tax_lines.at IS 'When the invoice was finalized or voided, the credit note issued or voided, the refund made';
COMMENT ON COLUMN billing_tax_lines.kind IS 'invoice, voided_invoice, credit_note, voided_credit_note, or refund: one without a credit note';
COMMENT ON COLUMN billing_tax_lines.document_id IS 'in_..., cn_... or re_...';
COMMENT ON COLUMN billing_tax_lines.stripe_invoice_id IS 'in_... that it is of';
COMMENT ON COLUMN billing_tax_lines.stripe_customer_id IS 'cus_... of the invoice';
COMMENT ON COLUMN billing_tax_lines.country IS 'ISO 3166, whose tax it is; null: the rate does not say it, or is still to be fetched';
COMMENT ON COLUMN billing_tax_lines.jurisdiction IS 'Whose tax it is there, as the invoice says';
COMMENT ON COLUMN billing_tax_lines.tax_name IS 'What the invoice calls it';
COMMENT ON COLUMN billing_tax_lines.rate IS 'In percent';
COMMENT ON COLUMN billing_tax_lines.inclusive IS 'Whether prices contained it';
COMMENT ON COLUMN billing_tax_lines.reason IS 'Stripe''s taxability reason: standard_rated, reverse_charge, customer_exempt, ...';
COMMENT ON COLUMN billing_tax_lines.net IS 'What was sold at the rate, before the tax, in minor units; negative: taken back';
COMMENT ON COLUMN billing_tax_lines.tax IS 'The tax, in minor units; negative: taken back';
COMMENT ON COLUMN billing_tax_lines.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_tax_lines.stripe_tax_rate_id IS 'txr_...';
