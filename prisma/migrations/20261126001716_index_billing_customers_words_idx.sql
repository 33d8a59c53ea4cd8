-- For the search by words of a name, a company or an e-mail address.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_customers_words_idx
ON customers USING gin (
    to_tsvector('simple', coalesce(name, '') || ' ' || coalesce(company_name, '') || ' ' || coalesce(email, ''))
);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_customers_words_idx;
