-- People with names, companies, domains, cards and payments for the rows of tests/mpanel/many_rows.sql,
-- and further faults: declined cards, refunds, disputes, messages that were given up, holds and notes.
-- The setting billing.seed chooses who gets what: the same seed, the same people.

CREATE FUNCTION pg_temp.pick(n bigint, what text, most integer) RETURNS integer LANGUAGE sql STABLE
AS $$ SELECT ((hashtextextended(what || n, current_setting('billing.seed')::bigint) & 1152921504606846975) % most)::integer $$;

CREATE TEMPORARY TABLE people AS
SELECT made.*, first_names[1 + pg_temp.pick(n, 'first', 40)] || ' ' || last_names[1 + pg_temp.pick(n, 'last', 60)] AS name,
    lower(last_names[1 + pg_temp.pick(n, 'last', 60)]) || '-' || n AS label,
    CASE WHEN pg_temp.pick(n, 'company', 3) = 0 THEN
        last_names[1 + pg_temp.pick(n, 'last', 60)] || ' ' || trades[1 + pg_temp.pick(n, 'trade', 12)]
    END AS company,
    (ARRAY['expired_card', 'insufficient_funds', 'do_not_honor', 'lost_card'])[1 + pg_temp.pick(n, 'decline', 4)] AS decline_code,
    (ARRAY['visa', 'mastercard', 'amex'])[1 + pg_temp.pick(n, 'brand', 3)] AS brand,
    (799 + 100 * pg_temp.pick(n, 'amount', 60))::bigint AS owed
FROM made CROSS JOIN (
    SELECT string_to_array('Ada Alan Amir Anna Ben Carla Chen Clara David Elena Emma Eva Felix Fatima Greta Hugo Ines Ivan Jonas José Julia Karl Katja Lea Leo Lina Luis Maja Marta Max Mia Nils Noah Olga Paul Priya Rosa Samir Sofia Tomás', ' ') AS first_names,
        string_to_array('Abel Adler Bauer Becker Berg Braun Castro Conti Costa Dietz Dubois Eklund Ernst Fischer Fuchs García Haas Hansen Hartmann Horvat Huber Ito Jansen Keller Klein Koch König Krause Lang Larsen Lehmann Lopez Marino Meier Molnar Moreau Müller Nagy Neumann Novak Okafor Olsen Park Peters Petit Pohl Reyes Ricci Rossi Roth Sato Schmidt Silva Singh Sommer Varga Vogel Weber Wolf Zhang', ' ') AS last_names,
        string_to_array('Bakery,Bikes,Books,Consulting,Dental,Design,Garden,Law,Logistics,Media,Software,Travel', ',') AS trades
) AS words;

UPDATE customers AS c
SET name = p.name, company_name = p.company, email = p.label || '@example.com', stripe_customer_id = 'cus_' || p.n,
    country = 'US', created_at = now() - p.n * interval '10 minutes'
FROM people AS p WHERE p.customer_id = c.id;

UPDATE tenants AS t SET name = p.name, domain = p.label || '.example' FROM people AS p WHERE p.tenant_id = t.id;

INSERT INTO stripe_customers (id, customer_id, livemode, email, name)
SELECT 'cus_' || n, customer_id, livemode, label || '@example.com', name FROM people;

UPDATE invoices AS i
SET stripe_number = upper(left(md5(p.n::text), 8)) || '-' || right(i.stripe_invoice_id, 1),
    amount_due = CASE WHEN i.stripe_status = 'open' THEN p.owed ELSE i.amount_due END,
    amount_remaining = CASE WHEN i.stripe_status = 'open' THEN p.owed ELSE 0 END,
    attempt_count = CASE WHEN i.stripe_status = 'open' THEN 1 + pg_temp.pick(p.n, 'tried', 3) ELSE 1 END,
    next_payment_attempt = CASE WHEN i.stripe_status = 'open' AND NOT p.troubled THEN now() + pg_temp.pick(p.n, 'next', 7200) * interval '1 minute' END
FROM people AS p WHERE i.subscription_id = p.subscription_id;

INSERT INTO stripe_charges (stripe_charge_id, livemode, stripe_payment_intent_id, stripe_customer_id, amount, amount_captured,
    amount_refunded, currency, status, failure_code, decline_code, decline_reason, card_brand, card_last4, stripe_created,
    stripe_as_of_since, stripe_as_of)
SELECT 'ch_' || p.n, p.livemode, 'pi_' || p.n, 'cus_' || p.n, i.amount_due, i.amount_paid, 0, 'usd',
    CASE p.kind WHEN 1 THEN 'failed' ELSE 'succeeded' END,
    CASE p.kind WHEN 1 THEN 'card_declined' END, CASE p.kind WHEN 1 THEN p.decline_code END,
    CASE p.kind WHEN 1 THEN 'Your card was declined (' || replace(p.decline_code, '_', ' ') || ').' END,
    p.brand, lpad(pg_temp.pick(p.n, 'last4', 10000)::text, 4, '0'),
    now() - p.n * (interval '30 days' / current_setting('billing.subscriptions')::integer), now(), now()
FROM people AS p JOIN invoices AS i ON i.stripe_invoice_id = 'in_' || p.n || '_3';

INSERT INTO invoice_payments (stripe_invoice_payment_id, stripe_invoice_id, livemode, stripe_payment_intent_id, amount_paid,
    currency, status, stripe_created, stripe_as_of_since, stripe_as_of)
SELECT 'inpay_' || n, 'in_' || n || '_3', livemode, 'pi_' || n, CASE kind WHEN 1 THEN NULL ELSE 799 END, 'usd',
    CASE kind WHEN 1 THEN 'open' ELSE 'paid' END, now() - n * interval '1 second', now(), now()
FROM people;

INSERT INTO stripe_refunds (stripe_refund_id, livemode, stripe_payment_intent_id, stripe_charge_id, amount, currency, status,
    reason, stripe_created, stripe_as_of_since, stripe_as_of)
SELECT 're_' || n, livemode, 'pi_' || n, 'ch_' || n, 100 + pg_temp.pick(n, 'refund', 600), 'usd', 'succeeded',
    'requested_by_customer', now() - n * interval '1 second', now(), now()
FROM people WHERE kind <> 1 AND pg_temp.pick(n, 'refunded', 60) = 0;

INSERT INTO stripe_disputes (stripe_dispute_id, livemode, stripe_charge_id, stripe_payment_intent_id, status, reason, amount,
    currency, fee, fee_currency, movements, is_charge_refundable, evidence_due_at, has_evidence, submissions, stripe_created,
    stripe_as_of_since, stripe_as_of)
SELECT 'du_' || n, livemode, 'ch_' || n, 'pi_' || n, CASE state WHEN 0 THEN 'needs_response' WHEN 1 THEN 'under_review' WHEN 2 THEN 'won' ELSE 'lost' END,
    (ARRAY['fraudulent', 'product_not_received', 'subscription_canceled', 'duplicate'])[1 + pg_temp.pick(n, 'why', 4)],
    799, 'usd', 1500, 'usd', 1, FALSE, now() + pg_temp.pick(n, 'due', 14 * 24) * interval '1 hour', state = 1, CASE state WHEN 0 THEN 0 ELSE 1 END,
    now() - n * interval '1 minute', now(), now()
FROM (SELECT p.*, pg_temp.pick(n, 'state', 4) AS state FROM people AS p WHERE kind <> 1 AND pg_temp.pick(n, 'disputed', 800) = 0) AS p;

UPDATE tenant_services AS v
SET stopped = CASE WHEN v.last_error IS NULL THEN NULL ELSE 'refused' END,
    last_error = CASE WHEN v.last_error IS NOT NULL THEN (ARRAY[
        'HTTP 507: no space left on /dev/vda1 of srv3', 'HTTP 422: the user name is taken', 'HTTP 503: the mail server is being moved',
        'the service did not answer within 30 s'])[1 + pg_temp.pick(p.n, 'error', 4)] END
FROM people AS p WHERE p.subscription_id = v.subscription_id AND v.last_error IS NOT NULL;

UPDATE stripe_events
SET last_error = 'invoice ' || object_id || ' is of a subscription that is not on record', attempts = 3, payload = '{"id": "evt_1", "object": "event"}'
WHERE status = 'failed';

UPDATE billing_deliveries AS d
SET state = 'given_up', attempts = 12, last_status = 502, last_error = 'HTTP 502: Bad Gateway'
FROM people AS p WHERE d.subscription_id = p.subscription_id AND pg_temp.pick(p.n, 'given up', 4000) = 0;

INSERT INTO provisioning_holds (subscription_id, reason, placed_by)
SELECT subscription_id, 'sends spam', 'grace' FROM people WHERE kind = 10 AND pg_temp.pick(n, 'held', 5000) = 0;

INSERT INTO billing_notes (customer_id, body, written_by, person)
SELECT customer_id, 'Called about the move; wants it done on a Sunday.', 'support', 'grace' FROM people WHERE pg_temp.pick(n, 'noted', 100) = 0;

UPDATE products SET name = 'Classic' WHERE code = 'many';

DROP TABLE people;
