-- Other names, which customers choose in place of those that could not be obtained.

-- name: get_lost(id)^
-- What could not be obtained, and whose order it is of. Locked: one name at a time takes its place.
SELECT
    lost.id,
    lost.name,
    s.id AS subscription_id,
    CASE WHEN o.vouched THEN s.customer_id END AS vouched_customer_id,
    s.livemode,
    lower(s.currency) AS currency,
    lost.name = s.metadata ->> 'domainValue' AS is_own,
    -- the term includes the first name of its order
    lost.name = s.metadata ->> 'domainValue' AND s.metadata -> 'freeDomain' = 'true' AS is_included,
    s.order_paid,
    billing_is_replaceable_v1(lost.id) AS is_replaceable
FROM billing_domains AS lost
JOIN subscriptions AS s
    ON s.id = lost.subscription_id
LEFT JOIN orders AS o
    ON o.subscription_id = s.id
WHERE lost.id = :id::uuid
FOR NO KEY UPDATE OF lost;

-- name: find_lost(subscription_id, name)$
SELECT lost.id
FROM billing_domains AS lost
WHERE lost.subscription_id = :subscription_id::uuid
  AND lost.name = :name
  AND lost.state = 'failed';

-- name: find_chosen(lost_id)^
-- The name that is to take its place, or has.
SELECT
    chosen.id,
    chosen.name,
    chosen.mode
FROM billing_domains AS chosen
WHERE chosen.replaces_id = :lost_id::uuid
  AND chosen.state NOT IN ('released', 'failed');

-- name: drop_lapsed(lost_id)!
-- Names that were chosen before, and that nobody has paid for.
DELETE FROM billing_domains AS chosen
WHERE chosen.replaces_id = :lost_id::uuid
  AND chosen.state = 'released'
  AND chosen.held_at IS NULL;

-- name: choose_name(lost_id, name, unicode_name, skeleton, registrable, mode, currency, renewal_price)$
-- It holds nothing yet. Nothing, if the order was for this name already.
INSERT INTO billing_domains (
    subscription_id,
    customer_id,
    name,
    unicode_name,
    skeleton,
    registrable,
    mode,
    currency,
    renewal_price,
    auto_renew,
    replaces_id
)
SELECT
    lost.subscription_id,
    s.customer_id,
    :name,
    :unicode_name,
    :skeleton,
    :registrable,
    :mode,
    :currency::text,
    :renewal_price::bigint,
    :renewal_price::bigint IS NOT NULL,
    lost.id
FROM billing_domains AS lost
JOIN subscriptions AS s
    ON s.id = lost.subscription_id
WHERE lost.id = :lost_id::uuid
ON CONFLICT (subscription_id, name) DO NOTHING
RETURNING id;

-- name: charge_first_year(domain_id, amount, currency, livemode, pay_by)!
INSERT INTO billing_domain_renewals (domain_id, amount, currency, livemode, pay_by, next_attempt_at)
VALUES (
    :domain_id::uuid,
    :amount::bigint,
    :currency,
    :livemode::boolean,
    :pay_by::timestamptz,
    now()
);

-- name: put_in_place(id)$
-- The order is for the chosen name from now on, and the worker decides of it as of any that was ordered: it is
-- paid for, or its buyer has it. Returns the subscription; nothing if that has ended.
WITH chosen AS (
    SELECT
        own.id,
        own.name,
        own.unicode_name,
        own.mode,
        lost.id AS lost_id,
        lost.name AS lost_name,
        s.id AS subscription_id
    FROM billing_domains AS own
    JOIN billing_domains AS lost
        ON lost.id = own.replaces_id
    JOIN subscriptions AS s
        ON s.id = own.subscription_id
        AND s.id = lost.subscription_id
    WHERE own.id = :id::uuid
      AND own.state = 'ordered'
      AND s.status IN ('pending', 'active', 'suspended')
    FOR NO KEY UPDATE OF s
),
ordered AS (
    UPDATE subscriptions AS s
    SET metadata = CASE
            WHEN s.metadata ->> 'domainValue' = chosen.lost_name THEN
                (s.metadata - 'domainUnicode')
                || jsonb_build_object('domainValue', chosen.name, 'domainMode', chosen.mode)
                || CASE
                    WHEN chosen.unicode_name = chosen.name THEN '{}'
                    ELSE jsonb_build_object('domainUnicode', chosen.unicode_name)
                END
            ELSE jsonb_set(
                s.metadata,
                '{furtherDomains}',
                ((s.metadata -> 'furtherDomains') - chosen.lost_name) || to_jsonb(chosen.name)
            )
        END,
        updated_at = now()
    FROM chosen
    WHERE s.id = chosen.subscription_id
),
paid AS (
    UPDATE billing_domains AS own
    SET paid_at = CASE WHEN own.mode NOT IN ('existing', 'subdomain') THEN now() END,
        tell_stripe_at = now(),
        updated_at = now()
    FROM chosen
    WHERE own.id = chosen.id
),
settled AS (
    -- what cost nothing, and was made good
    UPDATE billing_domains AS lost
    SET given_back_at = now(),
        updated_at = now()
    FROM chosen
    WHERE lost.id = chosen.lost_id
      AND lost.state = 'failed'
      AND lost.given_back_at IS NULL
      AND coalesce(lost.price, 0) = 0
),
told AS (
    UPDATE provisioning_work AS w
    SET trouble = NULL,
        last_error = nullif(w.last_error, w.trouble),
        updated_at = now()
    FROM chosen
    WHERE w.subscription_id = chosen.subscription_id
      AND position(chosen.lost_name IN w.trouble) > 0
)
SELECT chosen.subscription_id
FROM chosen;

-- name: list_untold(livemode, most)
-- Orders that Stripe's metadata still has with a name that could not be obtained.
SELECT
    own.id,
    s.stripe_subscription_id,
    s.metadata
FROM billing_domains AS own
JOIN subscriptions AS s
    ON s.id = own.subscription_id
WHERE own.tell_stripe_at <= now()
  AND s.livemode = :livemode::boolean
  AND s.stripe_subscription_id IS NOT NULL
ORDER BY own.tell_stripe_at
LIMIT :most;

-- name: note_told(id, retry_seconds)!
-- retry_seconds: until it is tried again; null: Stripe knows.
UPDATE billing_domains AS own
SET tell_stripe_at = now() + make_interval(secs => :retry_seconds::float8)
WHERE own.id = :id::uuid;
