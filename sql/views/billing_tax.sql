-- What is to be declared: the lines of documents, added up by month.
CREATE OR REPLACE VIEW billing_tax AS
SELECT
    line.livemode,
    date_trunc('month', line.at AT TIME ZONE 'UTC')::date AS period,
    line.country,
    line.jurisdiction,
    line.tax_name,
    line.rate,
    line.reason,
    sum(line.net)::bigint AS net,
    sum(line.tax)::bigint AS tax,
    line.currency,
    count(DISTINCT (line.kind, line.document_id)) AS documents
FROM billing_tax_lines AS line
GROUP BY
    line.livemode,
    date_trunc('month', line.at AT TIME ZONE 'UTC')::date,
    line.country,
    line.jurisdiction,
    line.tax_name,
    line.rate,
    line.reason,
    line.currency;
COMMENT ON VIEW billing_tax IS 'Taxes by month, jurisdiction, rate, reason and currency, in minor units; refunds, credit notes and what was voided are negative';
COMMENT ON COLUMN billing_tax.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_tax.period IS 'The first day of the month, in UTC';
COMMENT ON COLUMN billing_tax.country IS 'ISO 3166, whose tax it is; null: the rate does not say it, or is still to be fetched';
COMMENT ON COLUMN billing_tax.jurisdiction IS 'Whose tax it is there, as invoices say';
COMMENT ON COLUMN billing_tax.tax_name IS 'What invoices call it';
COMMENT ON COLUMN billing_tax.rate IS 'In percent';
COMMENT ON COLUMN billing_tax.reason IS 'Stripe''s taxability reason: standard_rated, reverse_charge, customer_exempt, ...';
COMMENT ON COLUMN billing_tax.net IS 'What was sold at the rate, before the tax, in minor units';
COMMENT ON COLUMN billing_tax.tax IS 'The tax, in minor units';
COMMENT ON COLUMN billing_tax.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_tax.documents IS 'How many invoices, credit notes and refunds';
