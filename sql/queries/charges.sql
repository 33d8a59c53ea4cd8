-- One-time charges and the discount of an order with a trial: attached to the subscription in
-- Stripe.

-- Tables: subscription_charges
--
-- CREATE TABLE subscription_charges (
--     id uuid DEFAULT gen_random_uuid() NOT NULL,
--     subscription_id uuid NOT NULL,
--     "position" smallint NOT NULL,
--     kind text NOT NULL,
--     code text NOT NULL,
--     description text NOT NULL,
--     price_id uuid,
--     domain text,
--     amount bigint,
--     currency text,
--     state text NOT NULL,
--     stripe_id text,
--     stripe_created timestamp with time zone,
--     attempt integer DEFAULT 1 NOT NULL,
--     tried_at timestamp with time zone,
--     created_at timestamp with time zone DEFAULT now() NOT NULL,
--     updated_at timestamp with time zone DEFAULT now() NOT NULL,
--     CONSTRAINT subscription_charges_amount_check CHECK ((amount >= 0)),
--     CONSTRAINT subscription_charges_check CHECK (((kind = 'one_time'::text) = (amount IS NOT NULL))),
--     CONSTRAINT subscription_charges_check1 CHECK (((amount IS NULL) = (currency IS NULL))),
--     CONSTRAINT subscription_charges_check2 CHECK (((state <> 'attached'::text) OR (stripe_id IS NOT NULL))),
--     CONSTRAINT subscription_charges_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text)),
--     CONSTRAINT subscription_charges_kind_check CHECK ((kind = ANY (ARRAY['one_time'::text, 'discount'::text]))),
--     CONSTRAINT subscription_charges_state_check CHECK ((state = ANY (ARRAY['with_checkout'::text, 'waiting'::text, 'attached'::text, 'removed'::text])))
-- );
-- ALTER TABLE ONLY subscription_charges ADD CONSTRAINT subscription_charges_pkey PRIMARY KEY (id);
-- ALTER TABLE ONLY subscription_charges ADD CONSTRAINT subscription_charges_subscription_id_position_key UNIQUE (subscription_id, "position");
-- ALTER TABLE ONLY subscription_charges ADD CONSTRAINT subscription_charges_price_id_fkey FOREIGN KEY (price_id) REFERENCES prices(id);
-- ALTER TABLE ONLY subscription_charges ADD CONSTRAINT subscription_charges_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES subscriptions(id) ON DELETE CASCADE;
-- CREATE INDEX subscription_charges_price_idx ON subscription_charges USING btree (price_id);

-- name: begin_attaching(id, attempt)$
-- Recorded before Stripe is called, so that after a crash Stripe's own list is checked first.
UPDATE subscription_charges AS c
SET tried_at = now(),
    updated_at = now()
WHERE c.id = :id::uuid
  AND c.attempt = :attempt
RETURNING TRUE;

-- name: mark_attached(id, attempt, stripe_id, stripe_created)!
UPDATE subscription_charges AS c
SET state = 'attached',
    stripe_id = :stripe_id,
    stripe_created = :stripe_created::timestamptz,
    tried_at = NULL,
    updated_at = now()
WHERE c.id = :id::uuid
  AND c.attempt = :attempt;

-- name: drop_charge(id, attempt)!
-- It is not owed any more: another customer has the name that it was for.
DELETE FROM subscription_charges AS c
WHERE c.id = :id::uuid
  AND c.attempt = :attempt;

-- name: mark_removed(id, attempt)!
-- If the trial continues after all, it is attached again under a new key.
UPDATE subscription_charges AS c
SET state = 'removed',
    stripe_id = NULL,
    stripe_created = NULL,
    tried_at = NULL,
    attempt = c.attempt + 1,
    updated_at = now()
WHERE c.id = :id::uuid
  AND c.attempt = :attempt;
