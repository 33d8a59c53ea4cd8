-- Our columns on mPanel's subscriptions, and their items.
-- The checks are validated in a later file: until then they hold for new rows only.

-- migrate:up
ALTER TABLE subscriptions
    ADD COLUMN IF NOT EXISTS billing_provider text
        CONSTRAINT billing_subscriptions_provider_check CHECK (billing_provider = 'stripe'),
    ADD COLUMN IF NOT EXISTS livemode boolean,
    ADD COLUMN IF NOT EXISTS stripe_status text
        -- a list that is one constant: CHECK constraints are parsed again for each statement that writes
        CONSTRAINT billing_subscriptions_stripe_status_check CHECK (stripe_status = ANY (
            '{incomplete,incomplete_expired,trialing,active,past_due,unpaid,paused,canceled}'
        )),
    ADD COLUMN IF NOT EXISTS stripe_customer_id text,
    ADD COLUMN IF NOT EXISTS stripe_subscription_id text,
    ADD COLUMN IF NOT EXISTS stripe_payment_intent_id text,
    ADD COLUMN IF NOT EXISTS checkout_session_id text,
    ADD COLUMN IF NOT EXISTS currency text
        CONSTRAINT billing_subscriptions_currency_check CHECK (currency ~ '^[a-z]{3}$'),
    ADD COLUMN IF NOT EXISTS amount bigint,
    ADD COLUMN IF NOT EXISTS current_period_start timestamptz,
    ADD COLUMN IF NOT EXISTS current_period_end timestamptz,
    ADD COLUMN IF NOT EXISTS started_at timestamptz,
    ADD COLUMN IF NOT EXISTS trial_end timestamptz,
    ADD COLUMN IF NOT EXISTS cancel_at_period_end boolean,
    ADD COLUMN IF NOT EXISTS cancel_at timestamptz,
    ADD COLUMN IF NOT EXISTS canceled_at timestamptz,
    ADD COLUMN IF NOT EXISTS ended_at timestamptz,
    ADD COLUMN IF NOT EXISTS collection_paused boolean,
    ADD COLUMN IF NOT EXISTS cancellation_reason text,
    ADD COLUMN IF NOT EXISTS cancellation_feedback text,
    ADD COLUMN IF NOT EXISTS collection_behavior text,
    ADD COLUMN IF NOT EXISTS stripe_schedule_id text,
    ADD COLUMN IF NOT EXISTS pending_update_expires_at timestamptz,
    ADD COLUMN IF NOT EXISTS entitlement jsonb,
    ADD COLUMN IF NOT EXISTS initial_payment_settled boolean,
    ADD COLUMN IF NOT EXISTS order_paid boolean,
    ADD COLUMN IF NOT EXISTS stripe_as_of_since timestamptz,
    ADD COLUMN IF NOT EXISTS stripe_as_of timestamptz,
    ADD COLUMN IF NOT EXISTS stripe_event_id text;

ALTER TABLE subscriptions
    ADD CONSTRAINT billing_subscriptions_status_check CHECK (
        billing_provider IS NULL
        OR status = ANY ('{provisional,pending,active,suspended,cancelled,expired}')
    ) NOT VALID,
    ADD CONSTRAINT billing_subscriptions_not_due_in_mpanel_check CHECK (
        billing_provider IS NULL
        OR (auto_renew IS FALSE AND next_billing_date IS NULL)
    ) NOT VALID,
    ADD CONSTRAINT billing_subscriptions_mirror_check CHECK (
        billing_provider IS NULL
        OR (
            livemode IS NOT NULL
            AND currency IS NOT NULL
            AND amount IS NOT NULL
            AND (stripe_status IS NULL) = (stripe_as_of IS NULL)
            AND (stripe_as_of IS NULL) = (stripe_as_of_since IS NULL)
            AND stripe_as_of_since <= stripe_as_of
        )
    ) NOT VALID;

SELECT billing_record_additions('20261126000500');
SELECT billing_describe('subscriptions', described.column_name, described.description)
FROM (VALUES
    ('billing_provider', 'stripe: Stripe bills this row, and mPanel''s own biller must never see it as due; null: mPanel bills it'),
    ('livemode', 'Whether the ids belong to Stripe''s live mode'),
    ('stripe_status', 'Stripe''s status; status is ours'),
    ('stripe_customer_id', 'cus_... that is charged; a new one for each order by an unverified buyer'),
    ('stripe_subscription_id', 'sub_...; null until the order is paid'),
    ('stripe_payment_intent_id', 'Payment of the latest invoice that has one'),
    ('checkout_session_id', 'The latest Checkout session of the order; older ones are in checkout_sessions'),
    ('currency', 'ISO 4217, lower case as Stripe writes it'),
    ('amount', 'Recurring total per term in minor units of currency, before discounts; price is the same in major units'),
    ('current_period_start', 'Earliest start of its items'),
    ('current_period_end', 'Earliest end of its items'),
    ('started_at', 'When it started, as Stripe dates it: before it was created there, if it was moved there'),
    ('trial_end', 'End of the free trial; null: none'),
    ('cancel_at_period_end', 'Whether it ends with the current period'),
    ('cancel_at', 'When it will end; null: not planned'),
    ('canceled_at', 'When the cancellation was requested'),
    ('ended_at', 'When it ended'),
    ('cancellation_reason', 'Why it ends, as Stripe knows it: cancellation_requested, payment_failed or payment_disputed'),
    ('cancellation_feedback', 'What the customer says of the cancellation: one of Stripe''s words, as too_expensive'),
    ('collection_paused', 'Whether Stripe collects no payments at present (pause_collection)'),
    ('collection_behavior', 'What Stripe does with invoices meanwhile: keep_as_draft, mark_uncollectible or void; null: collected'),
    ('stripe_schedule_id', 'sub_sched_... that changes it at Stripe; ours are in billing_planned_changes'),
    ('pending_update_expires_at', 'Until when a change waits for the customer to pay it (pending_update); null: none does'),
    ('entitlement', 'All that the desired state of its services reads from Stripe''s subscription; a change makes work for provisioning'),
    ('initial_payment_settled', 'Whether the first invoice is paid or was $0: the condition for first provisioning'),
    ('order_paid', 'Whether money was paid for all that was ordered, and not given back: the condition for ordering a domain'),
    ('stripe_as_of_since', 'Earliest moment that the mirrored snapshot may describe; equals stripe_as_of unless it was fetched'),
    ('stripe_as_of', 'Latest moment that the mirrored snapshot may describe, by Stripe''s clock'),
    ('stripe_event_id', 'The event whose snapshot this row mirrors; null: fetched from Stripe')
) AS described (column_name, description);

-- Rows that change with each renewal need free space on their page: the new version of the row
-- then stays there and touches no index. A fillfactor that mPanel has set itself stays.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT 1
        FROM pg_class AS c
        JOIN pg_options_to_table(c.reloptions) AS o
            ON o.option_name = 'fillfactor'
        WHERE c.oid = 'subscriptions'::regclass
    ) THEN
        ALTER TABLE subscriptions SET (fillfactor = 85);
    END IF;
END
$$;

CREATE TABLE subscription_items (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    price_id uuid REFERENCES prices,
    stripe_subscription_item_id text UNIQUE,
    stripe_price_id text,
    stripe_product_id text,
    quantity bigint CHECK (quantity >= 0),
    unit_amount bigint,
    currency text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    recurring_interval text CHECK (recurring_interval = ANY ('{day,week,month,year}')),
    interval_count integer CHECK (interval_count > 0),
    current_period_start timestamptz,
    current_period_end timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 85);
CREATE INDEX subscription_items_subscription_idx ON subscription_items (subscription_id);
CREATE INDEX billing_items_price_subscription_idx ON subscription_items (price_id, subscription_id);
CREATE INDEX billing_items_other_price_idx ON subscription_items (stripe_product_id, subscription_id)
WHERE price_id IS NULL;
CREATE INDEX billing_items_unknown_price_idx ON subscription_items (stripe_price_id, subscription_id)
WHERE price_id IS NULL;
COMMENT ON TABLE subscription_items IS 'What a subscription charges each term; while it is provisional, what was ordered';
COMMENT ON COLUMN subscription_items.id IS 'Our id';
COMMENT ON COLUMN subscription_items.subscription_id IS 'The subscription';
COMMENT ON COLUMN subscription_items.price_id IS 'Price in the catalogue; null: not in it';
COMMENT ON COLUMN subscription_items.stripe_subscription_item_id IS 'si_...; null until Stripe has created it';
COMMENT ON COLUMN subscription_items.stripe_price_id IS 'price_... at Stripe';
COMMENT ON COLUMN subscription_items.stripe_product_id IS 'prod_... of the price: places an item whose price is not in the catalogue';
COMMENT ON COLUMN subscription_items.quantity IS 'Null: metered';
COMMENT ON COLUMN subscription_items.unit_amount IS 'Minor units; null: not a whole number, or tiered';
COMMENT ON COLUMN subscription_items.currency IS 'ISO 4217, lower case as Stripe writes it';
COMMENT ON COLUMN subscription_items.recurring_interval IS 'Unit of the term: day, week, month, year';
COMMENT ON COLUMN subscription_items.interval_count IS 'Units in a term';
COMMENT ON COLUMN subscription_items.current_period_start IS 'Start of the current term';
COMMENT ON COLUMN subscription_items.current_period_end IS 'End of the current term';
COMMENT ON COLUMN subscription_items.created_at IS 'When this row was created';
COMMENT ON COLUMN subscription_items.updated_at IS 'When this row was last changed';

CREATE TABLE subscription_discounts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    subscription_id uuid NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    stripe_discount_id text NOT NULL,
    stripe_subscription_item_id text,
    position integer NOT NULL,
    stripe_coupon_id text,
    coupon_name text,
    percent_off numeric CHECK (percent_off BETWEEN 0 AND 100),
    amount_off bigint CHECK (amount_off >= 0),
    currency text CHECK (currency ~ '^[a-z]{3}$'),
    duration text,
    stripe_product_ids text[],
    starts_at timestamptz,
    ends_at timestamptz,
    fetched boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX subscription_discounts_key ON subscription_discounts (
    subscription_id, stripe_discount_id, coalesce(stripe_subscription_item_id, '')
);
COMMENT ON TABLE subscription_discounts IS 'The discounts of subscriptions and of their items, as Stripe has them';
COMMENT ON COLUMN subscription_discounts.id IS 'Our id';
COMMENT ON COLUMN subscription_discounts.subscription_id IS 'The subscription';
COMMENT ON COLUMN subscription_discounts.stripe_discount_id IS 'di_...';
COMMENT ON COLUMN subscription_discounts.stripe_subscription_item_id IS 'si_... of the only item that it is for; null: the whole subscription';
COMMENT ON COLUMN subscription_discounts.position IS 'The order in which discounts apply, each to what the ones before left; those of items come first';
COMMENT ON COLUMN subscription_discounts.stripe_coupon_id IS 'The coupon''s id; null: not known yet, Stripe is being asked';
COMMENT ON COLUMN subscription_discounts.coupon_name IS 'What customers see on invoices';
COMMENT ON COLUMN subscription_discounts.percent_off IS 'Percent that it takes off; null: it takes off an amount';
COMMENT ON COLUMN subscription_discounts.amount_off IS 'Minor units of currency that it takes off each invoice; null: it takes off a percentage';
COMMENT ON COLUMN subscription_discounts.currency IS 'ISO 4217, lower case, of amount_off';
COMMENT ON COLUMN subscription_discounts.duration IS 'once, repeating or forever: for one invoice, until ends_at, or always';
COMMENT ON COLUMN subscription_discounts.stripe_product_ids IS 'prod_... of the only products that it is for; null: all';
COMMENT ON COLUMN subscription_discounts.starts_at IS 'When it was given';
COMMENT ON COLUMN subscription_discounts.ends_at IS 'Until when it applies; null: no end';
COMMENT ON COLUMN subscription_discounts.fetched IS 'Whether Stripe was asked for its coupon: events carry ids, and not what a coupon is limited to';
COMMENT ON COLUMN subscription_discounts.created_at IS 'When this row was created';
COMMENT ON COLUMN subscription_discounts.updated_at IS 'When this row was last changed';

-- The monthly recurring revenue is a sum over all subscriptions that are billed. What each adds to it is
-- stored, and so is the sum, of all and by product and coupon; the worker brings both up to date every minute. Triggers note which
-- subscriptions have changed since: a row of its own for each transaction, so that none waits for another. The
-- view billing_mrr reads the sum and calculates those again (docs/decisions/0033-revenue-kept-as-a-sum.md).
CREATE TABLE billing_revenue (
    subscription_id uuid NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL CHECK (kind = ANY ('{all,product,coupon}')),
    stripe_id text NOT NULL,
    livemode boolean NOT NULL,
    customer_id uuid NOT NULL,
    amount numeric NOT NULL,
    taken_off numeric NOT NULL,
    ends_at timestamptz,
    changes_at timestamptz,
    PRIMARY KEY (subscription_id, currency, kind, stripe_id)
);
CREATE INDEX billing_revenue_changing_idx ON billing_revenue (changes_at)
WHERE changes_at IS NOT NULL;
CREATE INDEX billing_revenue_customer_idx ON billing_revenue (customer_id, kind, stripe_id);
CREATE INDEX billing_revenue_coupon_idx ON billing_revenue (stripe_id, ends_at)
WHERE kind = 'coupon';
COMMENT ON TABLE billing_revenue IS 'What each subscription adds to billing_revenue_sums: all of it, by product and by coupon';
COMMENT ON COLUMN billing_revenue.subscription_id IS 'The subscription; its row may have been deleted since';
COMMENT ON COLUMN billing_revenue.currency IS 'ISO 4217, lower case, of its items';
COMMENT ON COLUMN billing_revenue.kind IS 'all: one row; product: one for each of its products; coupon: one for each that takes something off it';
COMMENT ON COLUMN billing_revenue.stripe_id IS 'prod_... of the product, or the coupon''s id; empty: of all, or not known';
COMMENT ON COLUMN billing_revenue.livemode IS 'Whether it is in Stripe''s live mode';
COMMENT ON COLUMN billing_revenue.customer_id IS 'Who has it; the subscription itself, if nobody is known';
COMMENT ON COLUMN billing_revenue.amount IS 'Minor units per month after discounts, not rounded; of a coupon: all that the subscription adds';
COMMENT ON COLUMN billing_revenue.taken_off IS 'What coupons take off it, or what this one does: minor units per month, not rounded';
COMMENT ON COLUMN billing_revenue.ends_at IS 'Of a coupon: until when it applies; infinity: no end';
COMMENT ON COLUMN billing_revenue.changes_at IS 'When time alone changes it: the end of a discount; null: never, or said of all';

CREATE TABLE billing_revenue_sums (
    livemode boolean NOT NULL,
    currency text NOT NULL,
    kind text NOT NULL,
    stripe_id text NOT NULL,
    subscriptions bigint NOT NULL,
    customers bigint NOT NULL,
    amount numeric NOT NULL,
    taken_off numeric NOT NULL,
    PRIMARY KEY (livemode, currency, kind, stripe_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE billing_revenue_sums IS 'The sums of billing_revenue; rows change every minute in place, on half-empty pages';
COMMENT ON COLUMN billing_revenue_sums.livemode IS 'Whether it is Stripe''s live mode';
COMMENT ON COLUMN billing_revenue_sums.currency IS 'ISO 4217, lower case';
COMMENT ON COLUMN billing_revenue_sums.kind IS 'all, product or coupon';
COMMENT ON COLUMN billing_revenue_sums.stripe_id IS 'As in billing_revenue';
COMMENT ON COLUMN billing_revenue_sums.subscriptions IS 'How many subscriptions have such a row';
COMMENT ON COLUMN billing_revenue_sums.customers IS 'How many different customers they are of';
COMMENT ON COLUMN billing_revenue_sums.amount IS 'Minor units per month, not rounded';
COMMENT ON COLUMN billing_revenue_sums.taken_off IS 'Minor units per month, not rounded';

-- Every row is deleted within minutes: vacuumed after 1,000, it stays a few pages.
CREATE TABLE billing_revenue_changes (
    subscription_id uuid NOT NULL,
    changed_in xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- at its end a transaction looks up what it has noted
    PRIMARY KEY (changed_in, subscription_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE billing_revenue_changes IS 'Subscriptions that may add something else than billing_revenue has';
COMMENT ON COLUMN billing_revenue_changes.subscription_id IS 'The subscription; its row may have been deleted';
COMMENT ON COLUMN billing_revenue_changes.changed_in IS 'The transaction that changed it: no two share a row, so none waits and none is overlooked';

-- With the rights of its owner, as billing_keep_deleted_subscription: mPanel changes subscriptions too.
CREATE FUNCTION billing_note_revenue() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
DECLARE
    changed uuid[];
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF TG_LEVEL = 'STATEMENT' THEN
        changed := ARRAY(SELECT w.subscription_id FROM written AS w);
    ELSIF TG_TABLE_NAME = 'subscriptions' THEN
        changed := ARRAY[OLD.id, NEW.id];
    ELSE
        changed := ARRAY[OLD.subscription_id, NEW.subscription_id];
    END IF;
    IF changed = '{}' THEN
        RETURN NULL;
    END IF;
    INSERT INTO billing_revenue_changes (subscription_id)
    SELECT DISTINCT noted.id
    FROM unnest(changed) AS noted (id)
    WHERE noted.id IS NOT NULL
    -- what was recorded already is to be again: constraints may be immediate
    ON CONFLICT (changed_in, subscription_id) DO UPDATE
    SET subscription_id = excluded.subscription_id
    WHERE current_setting('mpanel_billing.revenue_is_noted', TRUE) IS DISTINCT FROM 'on';
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_note_revenue() IS 'Notes that the revenue of a subscription may have changed, with the rights of its owner';
REVOKE EXECUTE ON FUNCTION billing_note_revenue() FROM PUBLIC;

-- a statement writes the items of many new subscriptions: one call for all
CREATE TRIGGER billing_note_new_revenue
AFTER INSERT ON subscription_items
REFERENCING NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION billing_note_revenue();
CREATE TRIGGER billing_note_lost_revenue
AFTER DELETE ON subscription_items
FOR EACH ROW EXECUTE FUNCTION billing_note_revenue();
-- most renewals change periods only
CREATE TRIGGER billing_note_changed_revenue
AFTER UPDATE ON subscription_items
FOR EACH ROW WHEN ((
    OLD.subscription_id,
    OLD.stripe_subscription_item_id,
    OLD.stripe_product_id,
    OLD.quantity,
    OLD.unit_amount,
    OLD.currency,
    OLD.recurring_interval,
    OLD.interval_count
) IS DISTINCT FROM (
    NEW.subscription_id,
    NEW.stripe_subscription_item_id,
    NEW.stripe_product_id,
    NEW.quantity,
    NEW.unit_amount,
    NEW.currency,
    NEW.recurring_interval,
    NEW.interval_count
)) EXECUTE FUNCTION billing_note_revenue();
CREATE TRIGGER billing_note_revenue
AFTER INSERT OR DELETE ON subscription_discounts
FOR EACH ROW EXECUTE FUNCTION billing_note_revenue();
-- each event of a discounted subscription writes its discounts again
CREATE TRIGGER billing_note_changed_revenue
AFTER UPDATE ON subscription_discounts
FOR EACH ROW WHEN ((
    OLD.subscription_id,
    OLD.stripe_discount_id,
    OLD.stripe_subscription_item_id,
    OLD.position,
    OLD.stripe_coupon_id,
    OLD.percent_off,
    OLD.amount_off,
    OLD.currency,
    OLD.duration,
    OLD.stripe_product_ids,
    OLD.ends_at
) IS DISTINCT FROM (
    NEW.subscription_id,
    NEW.stripe_discount_id,
    NEW.stripe_subscription_item_id,
    NEW.position,
    NEW.stripe_coupon_id,
    NEW.percent_off,
    NEW.amount_off,
    NEW.currency,
    NEW.duration,
    NEW.stripe_product_ids,
    NEW.ends_at
)) EXECUTE FUNCTION billing_note_revenue();

-- What is kept of a subscription that mPanel deletes with its tenant or customer while Stripe still
-- knows it, and which subscriptions were brought back from what Stripe knows.
CREATE TABLE billing_deleted_subscriptions (
    subscription_id uuid PRIMARY KEY,
    stripe_subscription_id text,
    stripe_customer_id text,
    livemode boolean NOT NULL,
    stripe_status text,
    stripe_as_of timestamptz,
    subscription jsonb NOT NULL,
    services jsonb NOT NULL DEFAULT '[]',
    charges jsonb NOT NULL DEFAULT '[]',
    deleted_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    settled_how text CHECK (settled_how IN ('restored', 'cancelled')),
    claimed_until timestamptz,
    CHECK ((settled_at IS NULL) = (settled_how IS NULL))
);
CREATE INDEX billing_deleted_subscriptions_stripe_idx
ON billing_deleted_subscriptions (stripe_subscription_id)
WHERE settled_at IS NULL;
-- whose revenue theirs was
CREATE INDEX billing_deleted_subscriptions_customer_idx
ON billing_deleted_subscriptions ((subscription ->> 'customer_id'));
COMMENT ON TABLE billing_deleted_subscriptions IS 'Subscriptions whose rows were deleted here, by mPanel or by hand: until an operator decides, events of them have no effect';
COMMENT ON COLUMN billing_deleted_subscriptions.subscription_id IS 'Id of the deleted row';
COMMENT ON COLUMN billing_deleted_subscriptions.stripe_subscription_id IS 'sub_...; null: it was not paid';
COMMENT ON COLUMN billing_deleted_subscriptions.stripe_customer_id IS 'cus_... that is charged';
COMMENT ON COLUMN billing_deleted_subscriptions.livemode IS 'Whether the ids belong to Stripe''s live mode';
COMMENT ON COLUMN billing_deleted_subscriptions.stripe_status IS 'Stripe''s status, as the latest event says';
COMMENT ON COLUMN billing_deleted_subscriptions.stripe_as_of IS 'What stripe_status describes, by Stripe''s clock';
COMMENT ON COLUMN billing_deleted_subscriptions.subscription IS 'The deleted row';
COMMENT ON COLUMN billing_deleted_subscriptions.services IS 'Its rows of tenant_services: the accounts that were left behind';
COMMENT ON COLUMN billing_deleted_subscriptions.charges IS 'Its rows of subscription_charges';
COMMENT ON COLUMN billing_deleted_subscriptions.deleted_at IS 'When it was deleted';
COMMENT ON COLUMN billing_deleted_subscriptions.settled_at IS 'When an operator decided; null: not yet';
COMMENT ON COLUMN billing_deleted_subscriptions.settled_how IS 'restored: provisioned again; cancelled: cancelled at Stripe';
COMMENT ON COLUMN billing_deleted_subscriptions.claimed_until IS 'Until when the decision of one operator is carried out; others are refused';

CREATE TABLE billing_adoptions (
    subscription_id uuid PRIMARY KEY REFERENCES subscriptions ON DELETE CASCADE,
    source text NOT NULL CHECK (source IN ('stripe', 'deleted', 'backup')),
    order_id uuid,
    problem text,
    adopted_at timestamptz NOT NULL DEFAULT now(),
    inspected_at timestamptz
);
CREATE INDEX billing_adoptions_problem_idx ON billing_adoptions (subscription_id)
WHERE problem IS NOT NULL;
COMMENT ON TABLE billing_adoptions IS 'Subscriptions that were brought back: their accounts are looked for before anything is sent to the services';
COMMENT ON COLUMN billing_adoptions.subscription_id IS 'The subscription';
COMMENT ON COLUMN billing_adoptions.source IS 'stripe: from the metadata at Stripe, for example after a restored backup; deleted: from billing_deleted_subscriptions; backup: with a backup, whose record of the accounts may be outdated';
COMMENT ON COLUMN billing_adoptions.order_id IS 'The order that its metadata names';
COMMENT ON COLUMN billing_adoptions.problem IS 'What could not be brought back; null: nothing';
COMMENT ON COLUMN billing_adoptions.adopted_at IS 'When it was brought back';
COMMENT ON COLUMN billing_adoptions.inspected_at IS 'When its accounts were looked for; null: not yet';

-- Runs before the rows that belong to the subscription are deleted too, in mPanel's transaction, whose
-- search path may be any: the function's own ends with it. mPanel's role need not have rights on our
-- tables, so it runs with its owner's; what is in the session's temporary schema must not stand in.
CREATE FUNCTION billing_keep_deleted_subscription() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    INSERT INTO billing_deleted_subscriptions AS d (
        subscription_id,
        stripe_subscription_id,
        stripe_customer_id,
        livemode,
        stripe_status,
        stripe_as_of,
        subscription,
        services,
        charges
    )
    SELECT
        OLD.id,
        OLD.stripe_subscription_id,
        OLD.stripe_customer_id,
        OLD.livemode,
        OLD.stripe_status,
        OLD.stripe_as_of,
        to_jsonb(OLD),
        coalesce((
            SELECT jsonb_agg(to_jsonb(s)) FROM tenant_services AS s WHERE s.subscription_id = OLD.id
        ), '[]'),
        coalesce((
            SELECT jsonb_agg(to_jsonb(c)) FROM subscription_charges AS c WHERE c.subscription_id = OLD.id
        ), '[]')
    WHERE OLD.stripe_subscription_id IS NOT NULL
       -- a page that can still be paid
       OR EXISTS (
           SELECT 1
           FROM checkout_sessions AS c
           WHERE c.subscription_id = OLD.id
             AND c.status IN ('creating', 'open')
       )
    ON CONFLICT (subscription_id) DO UPDATE
    SET stripe_subscription_id = excluded.stripe_subscription_id,
        stripe_customer_id = excluded.stripe_customer_id,
        stripe_status = excluded.stripe_status,
        stripe_as_of = excluded.stripe_as_of,
        subscription = excluded.subscription,
        services = excluded.services,
        charges = excluded.charges,
        deleted_at = now(),
        settled_at = NULL,
        settled_how = NULL,
        claimed_until = NULL;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION billing_keep_deleted_subscription() IS 'Keeps what is needed of a subscription that is being deleted, with the rights of its owner';
-- A trigger needs no right to fire; without it nobody can make one of theirs run this.
REVOKE EXECUTE ON FUNCTION billing_keep_deleted_subscription() FROM PUBLIC;

-- migrate:down
DROP FUNCTION billing_keep_deleted_subscription();
DROP TABLE billing_adoptions;
DROP TABLE billing_deleted_subscriptions;
DROP TABLE subscription_discounts;
DROP TABLE subscription_items;
DROP FUNCTION billing_note_revenue();
DROP TABLE billing_revenue_changes;
DROP TABLE billing_revenue_sums;
DROP TABLE billing_revenue;
DO $$
BEGIN
    IF EXISTS (
        SELECT 1
        FROM pg_class AS c
        JOIN pg_options_to_table(c.reloptions) AS o
            ON o.option_name = 'fillfactor'
            AND o.option_value = '85'
        WHERE c.oid = 'subscriptions'::regclass
    ) THEN
        ALTER TABLE subscriptions RESET (fillfactor);
    END IF;
END
$$;
SELECT billing_revert_additions('20261126000500');
