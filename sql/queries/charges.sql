-- What an order under a trial costs once, and its discount: attached to the subscription in Stripe.

-- name: begin_attaching(id, attempt)$
-- Noted before Stripe is asked, so that after a crash Stripe's own list is looked at first.
UPDATE subscription_charges AS c
SET tried_at = now(),
    updated_at = now()
WHERE c.id = :id::uuid
  AND c.attempt = :attempt
RETURNING TRUE;

-- name: mark_attached(id, attempt, stripe_id)!
UPDATE subscription_charges AS c
SET state = 'attached',
    stripe_id = :stripe_id,
    tried_at = NULL,
    updated_at = now()
WHERE c.id = :id::uuid
  AND c.attempt = :attempt;

-- name: mark_removed(id, attempt)!
-- Should the trial go on after all, it is attached again under a key of its own.
UPDATE subscription_charges AS c
SET state = 'removed',
    stripe_id = NULL,
    tried_at = NULL,
    attempt = c.attempt + 1,
    updated_at = now()
WHERE c.id = :id::uuid
  AND c.attempt = :attempt;
