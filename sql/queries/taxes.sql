-- Taxes as they are declared.

-- name: sum_taxes(livemode, begins_at, ends_at)
-- What billing_tax has of a time, which begins and ends with a month; read by index.
SELECT
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
WHERE line.livemode = :livemode::boolean
  AND line.at >= :begins_at::timestamptz
  AND line.at < :ends_at::timestamptz
GROUP BY period, line.country, line.jurisdiction, line.tax_name, line.rate, line.reason, line.currency
ORDER BY period, line.country, line.jurisdiction, line.rate, line.reason, line.currency, line.tax_name;

-- name: list_tax_lines(livemode, begins_at, ends_at)
SELECT
    line.at,
    line.kind,
    line.document_id,
    i.stripe_number AS invoice,
    line.stripe_customer_id AS customer,
    line.country,
    line.jurisdiction,
    line.tax_name,
    line.rate,
    line.inclusive,
    line.reason,
    line.net,
    line.tax,
    line.currency
FROM billing_tax_lines AS line
LEFT JOIN LATERAL (
    -- OFFSET 0 keeps this a look-up for each line: a join would read all invoices
    SELECT named.stripe_number
    FROM invoices AS named
    WHERE named.stripe_invoice_id = line.stripe_invoice_id
    OFFSET 0
) AS i ON TRUE
WHERE line.livemode = :livemode::boolean
  AND line.at >= :begins_at::timestamptz
  AND line.at < :ends_at::timestamptz
ORDER BY line.at, line.document_id, line.kind, line.tax_name, line.rate;
