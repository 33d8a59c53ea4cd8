-- What was charged in the past: some pay more or less than they did, some left, and some of those came back; trials
-- that ended, and payments that failed before they succeeded. After the ledger has what is charged now.

CREATE TEMPORARY TABLE pasts AS
SELECT m.n, m.subscription_id, m.livemode, m.amount, s.created_at AS began_at, CASE WHEN m.kind = 2 THEN 100 ELSE pg_temp.pick(m.n, 'past', 100) END AS past,
    s.created_at + (now() - s.created_at) * (5 + pg_temp.pick(m.n, 'changed', 45)) / 100.0 AS changed_at,
    s.created_at + (now() - s.created_at) * (55 + pg_temp.pick(m.n, 'again', 45)) / 100.0 AS again_at
FROM (
    SELECT made.*, coalesce(r.amount, 1598) AS amount
    FROM made LEFT JOIN billing_revenue AS r ON r.subscription_id = made.subscription_id AND r.kind = 'all'
    WHERE r.amount > 799 OR (made.kind = 2 AND pg_temp.pick(made.n, 'was billed', 2) = 0)
) AS m JOIN subscriptions AS s ON s.id = m.subscription_id
WHERE s.created_at < now() - interval '60 days' AND (m.kind = 2 OR pg_temp.pick(m.n, 'past', 100) < 12);

DELETE FROM billing_mrr_ledger AS l USING pasts WHERE pasts.subscription_id = l.subscription_id;

INSERT INTO billing_mrr_ledger (subscription_id, currency, at, livemode, amount, change)
SELECT p.subscription_id, 'usd', step.at, p.livemode, step.amount, step.change
FROM pasts AS p CROSS JOIN LATERAL (
    SELECT p.began_at, p.amount - 799, p.amount - 799 WHERE p.past < 5
    UNION ALL SELECT p.changed_at, p.amount, 799 WHERE p.past < 5
    UNION ALL SELECT p.began_at, p.amount + 1000, p.amount + 1000 WHERE p.past BETWEEN 5 AND 6
    UNION ALL SELECT p.changed_at, p.amount, -1000 WHERE p.past BETWEEN 5 AND 6
    UNION ALL SELECT p.began_at, p.amount, p.amount WHERE p.past >= 7
    UNION ALL SELECT p.changed_at, 0, -p.amount WHERE p.past >= 7
    UNION ALL SELECT p.again_at, p.amount, p.amount WHERE p.past BETWEEN 7 AND 11
) AS step (at, amount, change);

UPDATE subscriptions AS s SET trial_end = s.created_at + interval '14 days'
FROM made WHERE made.subscription_id = s.id AND s.created_at < now() - interval '20 days'
    AND (made.kind > 4 AND pg_temp.pick(made.n, 'trial', 50) = 0
        OR made.kind = 2 AND pg_temp.pick(made.n, 'was billed', 2) = 1);

UPDATE billing_mrr_ledger AS l SET at = s.trial_end
FROM subscriptions AS s WHERE s.id = l.subscription_id AND l.at = s.created_at AND s.trial_end < now() - interval '1 day'
    AND NOT EXISTS (SELECT FROM pasts WHERE pasts.subscription_id = s.id);

INSERT INTO stripe_charges (stripe_charge_id, livemode, stripe_payment_intent_id, stripe_customer_id, amount, amount_captured,
    amount_refunded, currency, status, failure_code, decline_code, decline_reason, card_brand, card_last4, stripe_created,
    stripe_as_of_since, stripe_as_of)
SELECT c.stripe_charge_id || '_declined', c.livemode, c.stripe_payment_intent_id, c.stripe_customer_id, c.amount, 0, 0, c.currency,
    'failed', 'card_declined', 'insufficient_funds', 'Your card has insufficient funds.', c.card_brand, c.card_last4,
    c.stripe_created - interval '2 days', now(), now()
FROM made JOIN stripe_charges AS c ON c.stripe_charge_id = 'ch_' || made.n
WHERE c.status = 'succeeded' AND pg_temp.pick(made.n, 'declined first', 40) = 0;

DROP TABLE pasts;
