-- Who has had which coupon: ordered with it, given it later, or offered it to stay.
CREATE OR REPLACE VIEW billing_redemptions AS
SELECT
    redeemed.coupon_code,
    redeemed.redeemed_at,
    CASE redeemed.kind
        WHEN 'order' THEN 'order'
        WHEN 'take_offer' THEN 'offer'
        ELSE 'change'
    END AS way,
    s.customer_id,
    c.email AS customer_email,
    s.id AS subscription_id,
    s.stripe_subscription_id,
    s.status,
    s.livemode
FROM (
    -- without conditions of their own, both are read by subscription as well as by coupon
    SELECT
        o.subscription_id,
        o.coupon_code,
        o.created_at AS redeemed_at,
        'order'::text AS kind,
        'done'::text AS state
    FROM orders AS o
    UNION ALL
    SELECT
        change.subscription_id,
        change.params ->> 'coupon_code',
        change.attempted_at,
        change.kind,
        change.state
    FROM billing_changes AS change
) AS redeemed
JOIN subscriptions AS s
    ON s.id = redeemed.subscription_id
LEFT JOIN customers AS c
    ON c.id = s.customer_id
WHERE redeemed.coupon_code IS NOT NULL
  AND redeemed.state = 'done'
  AND s.billing_provider = 'stripe'
  AND s.status NOT IN ('provisional', 'expired');
COMMENT ON VIEW billing_redemptions IS 'Who has had which coupon, of the catalogue or a promotion code of Stripe; orders that were never paid are left out';
COMMENT ON COLUMN billing_redemptions.coupon_code IS 'The code, in upper case';
COMMENT ON COLUMN billing_redemptions.redeemed_at IS 'When it was ordered with the coupon, or given it';
COMMENT ON COLUMN billing_redemptions.way IS 'order; change: applied to the running subscription; offer: taken instead of a cancellation';
COMMENT ON COLUMN billing_redemptions.customer_id IS 'The customer record';
COMMENT ON COLUMN billing_redemptions.customer_email IS 'Their address';
COMMENT ON COLUMN billing_redemptions.subscription_id IS 'Our id of the subscription';
COMMENT ON COLUMN billing_redemptions.stripe_subscription_id IS 'Stripe''s id of it';
COMMENT ON COLUMN billing_redemptions.status IS 'mPanel''s status of it now';
COMMENT ON COLUMN billing_redemptions.livemode IS 'Whether it is in Stripe''s live mode';
