-- Messages to mPanel: an outbox that triggers write, in the transaction that changes something. How and
-- why: docs/decisions/0034-messages-by-triggers.md.

-- migrate:up
CREATE TABLE billing_receivers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE CHECK (name ~ '^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$'),
    url text NOT NULL CHECK (url ~ '^https?://'),
    livemode boolean NOT NULL,
    types text[] NOT NULL CHECK (cardinality(types) > 0),
    secret text NOT NULL CHECK (secret ~ '^whsec_[0-9A-Za-z+/=]+$'),
    former_secret text CHECK (former_secret ~ '^whsec_[0-9A-Za-z+/=]+$'),
    former_secret_until timestamptz,
    failing_since timestamptz,
    disabled_at timestamptz,
    disabled_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    CHECK ((former_secret IS NULL) = (former_secret_until IS NULL)),
    CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);
COMMENT ON TABLE billing_receivers IS 'Where messages are sent to';
COMMENT ON COLUMN billing_receivers.id IS 'Our id';
COMMENT ON COLUMN billing_receivers.name IS 'Name, chosen by the operator';
COMMENT ON COLUMN billing_receivers.url IS 'Messages are POSTed to it';
COMMENT ON COLUMN billing_receivers.livemode IS 'It gets what is about this mode of Stripe';
COMMENT ON COLUMN billing_receivers.types IS 'The types it gets: invoice.paid, invoice.*, or * for all';
COMMENT ON COLUMN billing_receivers.secret IS 'Key of the signatures, as Standard Webhooks writes it';
COMMENT ON COLUMN billing_receivers.former_secret IS 'The key before the last roll: messages are signed with both for a time';
COMMENT ON COLUMN billing_receivers.former_secret_until IS 'Until then; null: there is only one key';
COMMENT ON COLUMN billing_receivers.failing_since IS 'First failure since the last success; null: the latest attempt succeeded';
COMMENT ON COLUMN billing_receivers.disabled_at IS 'Nothing is sent since then; what there is to send waits. Null: enabled';
COMMENT ON COLUMN billing_receivers.disabled_reason IS 'Why: the operator, or the failure';
COMMENT ON COLUMN billing_receivers.created_at IS 'When it was added';
COMMENT ON COLUMN billing_receivers.created_by IS 'Who added it';

CREATE TABLE billing_messages (
    id text PRIMARY KEY CHECK (id ~ '^msg_[0-9a-f]{32}$'),
    position bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    type text NOT NULL CHECK (type ~ '^[a-z_]+\.[a-z_]+$'),
    object_id text NOT NULL,
    transition text NOT NULL,
    livemode boolean NOT NULL,
    subscription_id uuid,
    customer_id uuid,
    invoice_id uuid,
    sequence bigint CHECK (sequence > 0),
    occurred_at timestamptz NOT NULL,
    data jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    addressed_at timestamptz,
    CHECK (sequence IS NULL OR (subscription_id IS NOT NULL AND addressed_at IS NOT NULL))
);
CREATE INDEX billing_messages_new_idx ON billing_messages (position)
WHERE addressed_at IS NULL;
CREATE UNIQUE INDEX billing_messages_position_key ON billing_messages (position);
CREATE UNIQUE INDEX billing_messages_sequence_key ON billing_messages (subscription_id, sequence);
CREATE INDEX billing_messages_created_idx ON billing_messages (created_at);
COMMENT ON TABLE billing_messages IS 'What mPanel is told: one row for each transition. They hold no personal data: names and addresses are added when a message is sent';
COMMENT ON COLUMN billing_messages.id IS 'Hash of type, object and transition: what happens once, or once a term, has the same id after a restored backup too';
COMMENT ON COLUMN billing_messages.position IS 'Grows with each message';
COMMENT ON COLUMN billing_messages.type IS 'subscription.activated, invoice.paid, ...: docs/messages.md lists them';
COMMENT ON COLUMN billing_messages.object_id IS 'Id of what changed: ours for subscriptions and tenants, Stripe''s for invoices and refunds';
COMMENT ON COLUMN billing_messages.transition IS 'Which transition of the object: what can happen once has a fixed word, a term its start, others their time';
COMMENT ON COLUMN billing_messages.livemode IS 'Whether it is about Stripe''s live mode';
COMMENT ON COLUMN billing_messages.subscription_id IS 'The subscription that it is about; null: none is known';
COMMENT ON COLUMN billing_messages.customer_id IS 'Its customer; null: none is known';
COMMENT ON COLUMN billing_messages.invoice_id IS 'The invoice that it is about, or whose money it is; null: none, or not addressed yet';
COMMENT ON COLUMN billing_messages.sequence IS 'Number among the messages of the subscription, without gaps; null: not addressed yet, or no subscription';
COMMENT ON COLUMN billing_messages.occurred_at IS 'When it happened, by Stripe''s clock where Stripe says so';
COMMENT ON COLUMN billing_messages.data IS 'The object as it was then; amounts in minor units';
COMMENT ON COLUMN billing_messages.created_at IS 'When the transition was recorded here';
COMMENT ON COLUMN billing_messages.addressed_at IS 'When it got its number and its deliveries; null: not yet';

-- Written by the one process that addresses messages, not by those that change something: they would
-- wait for each other.
CREATE TABLE billing_message_sequences (
    subscription_id uuid PRIMARY KEY,
    latest bigint NOT NULL CHECK (latest > 0)
) WITH (fillfactor = 85);
COMMENT ON TABLE billing_message_sequences IS 'The number of the latest message of each subscription';
COMMENT ON COLUMN billing_message_sequences.subscription_id IS 'The subscription';
COMMENT ON COLUMN billing_message_sequences.latest IS 'The number';

CREATE TABLE billing_deliveries (
    message_id text NOT NULL REFERENCES billing_messages ON DELETE CASCADE,
    receiver_id uuid NOT NULL REFERENCES billing_receivers ON DELETE CASCADE,
    subscription_id uuid,
    sequence bigint,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given_up')),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at timestamptz DEFAULT now(),
    tried_at timestamptz,
    last_status integer,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (receiver_id, message_id),
    CHECK ((state = 'waiting') = (next_attempt_at IS NOT NULL)),
    CHECK (state <> 'given_up' OR last_error IS NOT NULL)
) WITH (fillfactor = 70);
CREATE INDEX billing_deliveries_message_idx ON billing_deliveries (message_id);
CREATE INDEX billing_deliveries_due_idx ON billing_deliveries (receiver_id, next_attempt_at)
WHERE state = 'waiting';
CREATE INDEX billing_deliveries_untried_idx ON billing_deliveries (receiver_id, subscription_id, sequence)
WHERE state = 'waiting' AND tried_at IS NULL;
CREATE INDEX billing_deliveries_unfinished_idx ON billing_deliveries (state, created_at)
WHERE state <> 'delivered';
COMMENT ON TABLE billing_deliveries IS 'One message for one receiver';
COMMENT ON COLUMN billing_deliveries.message_id IS 'The message';
COMMENT ON COLUMN billing_deliveries.receiver_id IS 'The receiver';
COMMENT ON COLUMN billing_deliveries.subscription_id IS 'As in the message';
COMMENT ON COLUMN billing_deliveries.sequence IS 'As in the message: a later one waits until the first attempt of an earlier one has ended';
COMMENT ON COLUMN billing_deliveries.state IS 'waiting: for its next attempt; delivered: accepted by the receiver; given_up: after the last attempt';
COMMENT ON COLUMN billing_deliveries.attempts IS 'How often it was sent since it was last requested';
COMMENT ON COLUMN billing_deliveries.next_attempt_at IS 'When it is sent next; during an attempt, when another process may repeat it';
COMMENT ON COLUMN billing_deliveries.tried_at IS 'When the latest attempt ended; null: none has';
COMMENT ON COLUMN billing_deliveries.last_status IS 'HTTP status of the latest response; null: none came';
COMMENT ON COLUMN billing_deliveries.last_error IS 'Why the latest attempt failed; null: it did not';
COMMENT ON COLUMN billing_deliveries.created_at IS 'When it was created';

CREATE FUNCTION billing_is_wanted(message_type text, wanted text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT EXISTS (
        SELECT 1
        FROM unnest(wanted) AS w (type)
        WHERE message_type = w.type
           OR (w.type LIKE '%*' AND starts_with(message_type, rtrim(w.type, '*')))
    )
$$;
COMMENT ON FUNCTION billing_is_wanted(text, text[]) IS 'Whether a type is one of those that a receiver gets';

-- Nothing is recorded while nobody receives, for what happened more than three days ago (it was
-- imported, or found by comparing), and in a transaction that asks for silence. Within a transaction the
-- latest state counts.
CREATE FUNCTION billing_record_message(
    message_type text,
    object text,
    transition text,
    is_live boolean,
    subscription uuid,
    customer uuid,
    occurred timestamptz,
    content jsonb
) RETURNS void LANGUAGE sql AS $$
    WITH recorded AS (
        INSERT INTO billing_messages AS m (
            id, type, object_id, transition, livemode, subscription_id, customer_id, occurred_at, data
        )
        SELECT
            'msg_' || left(
                encode(sha256(convert_to(concat_ws(' ', message_type, object, transition), 'UTF8')), 'hex'), 32
            ),
            message_type,
            object,
            transition,
            is_live,
            subscription,
            customer,
            occurred,
            content
        WHERE occurred > now() - interval '3 days'
          AND current_setting('mpanel_billing.messages', TRUE) IS DISTINCT FROM 'off'
          AND EXISTS (SELECT 1 FROM billing_receivers AS r WHERE r.livemode = is_live)
        ON CONFLICT (id) DO UPDATE
        -- what was before the transaction stays
        SET data = excluded.data || CASE
            WHEN m.data ? 'before' THEN jsonb_build_object('before', m.data -> 'before')
            ELSE '{}'
        END
        WHERE m.created_at = now()
          AND m.addressed_at IS NULL
        RETURNING m.id
    )
    SELECT pg_notify('billing_messages', '')
    FROM recorded
$$;
COMMENT ON FUNCTION billing_record_message(text, text, text, boolean, uuid, uuid, timestamptz, jsonb) IS 'Records a transition once, for those who are told';

CREATE FUNCTION billing_addons_message(codes jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        jsonb_agg(jsonb_build_object('code', addon.code, 'name', p.name) ORDER BY addon.position), '[]'
    )
    FROM jsonb_array_elements_text(
        CASE jsonb_typeof(codes) WHEN 'array' THEN codes ELSE '[]' END
    ) WITH ORDINALITY AS addon (code, position)
    LEFT JOIN products AS p
        ON p.code = addon.code
$$;
COMMENT ON FUNCTION billing_addons_message(jsonb) IS 'Add-ons as messages tell them';

CREATE FUNCTION billing_suspension_message(subscription uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'reason', max(w.decided_reason),
        'keptUntil', max(w.decided_until) FILTER (WHERE w.decided_reason = 'ended')
    )
    FROM provisioning_work AS w
    WHERE w.subscription_id = subscription
$$;
COMMENT ON FUNCTION billing_suspension_message(uuid) IS 'Why the services of a subscription are suspended, as messages tell it';

CREATE FUNCTION billing_cancellation_message(s subscriptions) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('reason', s.cancellation_reason, 'feedback', s.cancellation_feedback)
$$;
COMMENT ON FUNCTION billing_cancellation_message(subscriptions) IS 'Why a subscription ends, as messages tell it';

CREATE FUNCTION billing_subscription_message(s subscriptions) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'id', s.id,
        'stripeSubscriptionId', s.stripe_subscription_id,
        'status', s.status,
        'stripeStatus', s.stripe_status,
        'plan', (SELECT jsonb_build_object('code', p.code, 'name', p.name) FROM products AS p WHERE p.id = s.product_id),
        'addons', billing_addons_message(s.metadata -> 'addonIds'),
        'billingCycle', s.billing_cycle,
        'amount', s.amount,
        'currency', s.currency,
        'currentPeriodStart', s.current_period_start,
        'currentPeriodEnd', s.current_period_end,
        'trialEnd', s.trial_end,
        'cancelAtPeriodEnd', coalesce(s.cancel_at_period_end, FALSE),
        'cancelAt', s.cancel_at,
        'endedAt', s.ended_at
    )
$$;
COMMENT ON FUNCTION billing_subscription_message(subscriptions) IS 'A subscription as messages tell it';

-- The triggers run with the rights of the functions' owner: mPanel's role changes these tables too, and
-- need not have rights on ours. A row that changes nothing that is told costs the comparison in WHEN.
CREATE FUNCTION billing_tell_order() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'order.placed', s.id::text, 'placed', s.livemode, s.id, s.customer_id, NEW.created_at,
        jsonb_build_object('subscription', billing_subscription_message(s))
    )
    FROM subscriptions AS s
    WHERE s.id = NEW.subscription_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_order() IS 'Records order.placed';
CREATE TRIGGER billing_tell_order AFTER INSERT ON orders
FOR EACH ROW EXECUTE FUNCTION billing_tell_order();

CREATE FUNCTION billing_tell_subscription() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
DECLARE
    content jsonb;
    moment text := extract(epoch FROM now())::text;
    -- what it was like when it was first seen was no change: it is told now
    begins boolean := OLD.status IN ('provisional', 'expired') AND NEW.status NOT IN ('provisional', 'expired', 'cancelled');
BEGIN
    -- not in the trigger's WHEN, which is parsed anew for each statement, and true for each renewal
    IF NEW.billing_provider IS DISTINCT FROM 'stripe' OR (
        OLD.status,
        OLD.stripe_status,
        OLD.current_period_start,
        OLD.cancel_at_period_end,
        OLD.cancel_at,
        OLD.product_id,
        OLD.billing_cycle,
        OLD.amount,
        OLD.currency,
        OLD.metadata -> 'addonIds'
    ) IS NOT DISTINCT FROM (
        NEW.status,
        NEW.stripe_status,
        NEW.current_period_start,
        NEW.cancel_at_period_end,
        NEW.cancel_at,
        NEW.product_id,
        NEW.billing_cycle,
        NEW.amount,
        NEW.currency,
        NEW.metadata -> 'addonIds'
    ) THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF NOT EXISTS (SELECT 1 FROM billing_receivers AS r WHERE r.livemode = NEW.livemode) THEN
        RETURN NULL; -- nobody is told: each renewal comes here
    END IF;
    content := jsonb_build_object('subscription', billing_subscription_message(NEW));
    PERFORM billing_record_message(
        'subscription.' || told.type, NEW.id::text, told.version, NEW.livemode, NEW.id, NEW.customer_id,
        told.occurred,
        content || CASE told.type
            WHEN 'changed' THEN jsonb_build_object('before', billing_subscription_message(OLD))
            WHEN 'suspended' THEN jsonb_build_object('suspension', billing_suspension_message(NEW.id))
            WHEN 'cancelled' THEN jsonb_build_object('cancellation', billing_cancellation_message(NEW))
            WHEN 'ended' THEN jsonb_build_object('cancellation', billing_cancellation_message(NEW))
            ELSE '{}'
        END
    )
    FROM (
        VALUES
            ('activated', NEW.status = 'active' AND OLD.status <> 'suspended' AND OLD.status <> 'active', 'activated', now()),
            ('resumed', NEW.status = 'active' AND OLD.status = 'suspended', moment, now()),
            ('suspended', NEW.status = 'suspended' AND OLD.status <> 'suspended', moment, now()),
            ('ended', NEW.status = 'cancelled' AND OLD.status <> 'cancelled', 'ended', coalesce(NEW.ended_at, now())),
            (
                'past_due',
                NEW.stripe_status IN ('past_due', 'unpaid')
                    AND ((OLD.stripe_status IN ('past_due', 'unpaid')) IS NOT TRUE OR begins),
                coalesce(extract(epoch FROM NEW.current_period_start)::text, moment),
                CASE
                    WHEN OLD.stripe_status IN ('past_due', 'unpaid') THEN coalesce(NEW.current_period_start, now())
                    ELSE now()
                END
            ),
            (
                'renewed',
                NEW.current_period_start > OLD.current_period_start
                    AND NEW.status NOT IN ('provisional', 'cancelled', 'expired'),
                extract(epoch FROM NEW.current_period_start)::text,
                NEW.current_period_start
            ),
            (
                'cancelled',
                (coalesce(NEW.cancel_at_period_end, FALSE) OR NEW.cancel_at IS NOT NULL)
                    AND NEW.status <> 'cancelled'
                    AND (
                        begins
                        OR (coalesce(NEW.cancel_at_period_end, FALSE), NEW.cancel_at)
                            IS DISTINCT FROM (coalesce(OLD.cancel_at_period_end, FALSE), OLD.cancel_at)
                    ),
                concat_ws(
                    ' ',
                    extract(epoch FROM coalesce(NEW.canceled_at, now())),
                    extract(epoch FROM NEW.cancel_at),
                    NEW.cancel_at_period_end
                ),
                coalesce(NEW.canceled_at, now())
            ),
            (
                'kept',
                (coalesce(OLD.cancel_at_period_end, FALSE) OR OLD.cancel_at IS NOT NULL)
                    AND NOT coalesce(NEW.cancel_at_period_end, FALSE)
                    AND NEW.cancel_at IS NULL
                    AND NEW.status <> 'cancelled'
                    AND NEW.stripe_status IS DISTINCT FROM 'canceled',
                moment,
                now()
            ),
            (
                'changed',
                OLD.stripe_status IS NOT NULL
                    AND OLD.status NOT IN ('provisional', 'expired')
                    AND NEW.status <> 'cancelled'
                    AND (NEW.product_id, NEW.billing_cycle, NEW.amount, NEW.currency, NEW.metadata -> 'addonIds')
                        IS DISTINCT FROM
                        (OLD.product_id, OLD.billing_cycle, OLD.amount, OLD.currency, OLD.metadata -> 'addonIds'),
                moment,
                now()
            )
    ) AS told (type, happened, version, occurred)
    WHERE told.happened;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_subscription() IS 'Records the transitions of a subscription';
CREATE TRIGGER billing_tell_subscription AFTER UPDATE ON subscriptions
FOR EACH ROW EXECUTE FUNCTION billing_tell_subscription();

-- One function for new and for changed rows: an invoice that is first seen paid was issued too. One of a subscription
-- is told once that is known, so that its messages say of which: Stripe often tells of the invoice first.
CREATE FUNCTION billing_tell_invoice() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
DECLARE
    is_first boolean := TG_OP = 'INSERT';
    status_before text := 'draft';
    attempts_before integer := 0;
BEGIN
    IF NEW.stripe_subscription_id IS NOT NULL AND NEW.subscription_id IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF NOT EXISTS (SELECT 1 FROM billing_receivers AS r WHERE r.livemode = NEW.livemode) THEN
        RETURN NULL; -- nobody is told: each renewal comes here
    END IF;
    IF NOT is_first THEN
        is_first := OLD.stripe_subscription_id IS NOT NULL AND OLD.subscription_id IS NULL;
    END IF;
    IF NOT is_first THEN
        status_before := OLD.stripe_status;
        attempts_before := OLD.attempt_count;
    END IF;
    PERFORM billing_record_message(
        'invoice.' || told.type, NEW.stripe_invoice_id, told.version, NEW.livemode, NEW.subscription_id,
        NEW.customer_id, told.occurred,
        jsonb_build_object('invoice', jsonb_build_object(
            'id', NEW.id,
            'stripeInvoiceId', NEW.stripe_invoice_id,
            'number', NEW.stripe_number,
            'status', NEW.stripe_status,
            'billingReason', NEW.billing_reason,
            'currency', lower(NEW.currency),
            'amountDue', NEW.amount_due,
            'amountPaid', NEW.amount_paid,
            'amountRemaining', NEW.amount_remaining,
            'periodStart', NEW.period_start,
            'periodEnd', NEW.period_end,
            'dueAt', NEW.due_at,
            'attemptCount', NEW.attempt_count,
            'nextPaymentAttempt', NEW.next_payment_attempt,
            'hostedInvoiceUrl', NEW.hosted_invoice_url,
            'invoicePdf', NEW.invoice_pdf
        ))
    )
    FROM (
        VALUES
            (
                'created',
                status_before = 'draft',
                'created',
                coalesce(NEW.finalized_at, NEW.stripe_created)
            ),
            (
                'paid',
                NEW.stripe_status = 'paid' AND status_before <> 'paid',
                'paid',
                coalesce(NEW.paid_date AT TIME ZONE 'UTC', NEW.stripe_created)
            ),
            (
                'failed',
                NEW.stripe_status = 'open' AND NEW.attempt_count > coalesce(attempts_before, 0),
                NEW.attempt_count::text,
                -- what is first seen may have failed long ago
                CASE WHEN is_first THEN coalesce(NEW.finalized_at, NEW.stripe_created) ELSE now() END
            )
    ) AS told (type, happened, version, occurred)
    WHERE told.happened;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_invoice() IS 'Records the transitions of an invoice';
CREATE TRIGGER billing_tell_new_invoice AFTER INSERT ON invoices
FOR EACH ROW WHEN (NEW.stripe_status IN ('open', 'paid', 'uncollectible'))
EXECUTE FUNCTION billing_tell_invoice();
CREATE TRIGGER billing_tell_invoice AFTER UPDATE ON invoices
FOR EACH ROW WHEN (
    NEW.stripe_status IN ('open', 'paid', 'uncollectible')
    AND (OLD.stripe_status, OLD.attempt_count, OLD.subscription_id IS NULL)
        IS DISTINCT FROM (NEW.stripe_status, NEW.attempt_count, NEW.subscription_id IS NULL)
) EXECUTE FUNCTION billing_tell_invoice();

-- Stripe's event is all there is of an invoice that is to come: it has no object to be mirrored. Whatever
-- is odd in it must not keep the event out of the inbox.
CREATE FUNCTION billing_moment_of(seconds jsonb) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN jsonb_typeof(seconds) = 'number' AND seconds BETWEEN '0' AND '100000000000'
            THEN to_timestamp(seconds::float8)
    END
$$;
COMMENT ON FUNCTION billing_moment_of(jsonb) IS 'A time of Stripe''s, in Unix seconds; null for anything else';

CREATE FUNCTION billing_tell_upcoming() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
DECLARE
    about jsonb := NEW.payload #> '{data,object}';
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'invoice.upcoming',
        s.id::text,
        coalesce(extract(epoch FROM billing_moment_of(about -> 'period_end'))::text, NEW.id),
        NEW.livemode,
        s.id,
        s.customer_id,
        NEW.created,
        jsonb_build_object('upcomingInvoice', jsonb_build_object(
            'currency', about -> 'currency',
            'subtotal', about -> 'subtotal',
            'total', about -> 'total',
            'amountDue', about -> 'amount_due',
            'chargedAt', coalesce(
                billing_moment_of(about -> 'next_payment_attempt'), billing_moment_of(about -> 'period_end')
            )
        ))
    )
    FROM subscriptions AS s
    WHERE s.stripe_subscription_id = coalesce(
        about #>> '{parent,subscription_details,subscription}', about ->> 'subscription'
    );
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_upcoming() IS 'Records invoice.upcoming, once for each renewal';
CREATE TRIGGER billing_tell_upcoming AFTER INSERT ON stripe_events
FOR EACH ROW WHEN (NEW.type = 'invoice.upcoming') EXECUTE FUNCTION billing_tell_upcoming();

CREATE FUNCTION billing_tell_refund() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'refund.' || told.type, NEW.stripe_refund_id, told.type, NEW.livemode, NULL, NULL,
        CASE WHEN TG_OP = 'INSERT' THEN NEW.stripe_created ELSE now() END,
        jsonb_build_object('refund', jsonb_build_object(
            'stripeRefundId', NEW.stripe_refund_id,
            'status', NEW.status,
            'amount', NEW.amount,
            'currency', NEW.currency,
            'reason', NEW.reason,
            'failureReason', NEW.failure_reason
        ))
    )
    FROM (
        VALUES
            ('created', TG_OP = 'INSERT'),
            ('succeeded', NEW.status = 'succeeded'),
            ('failed', NEW.status IN ('failed', 'canceled'))
    ) AS told (type, happened)
    WHERE told.happened;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_refund() IS 'Records the transitions of a refund';
CREATE TRIGGER billing_tell_new_refund AFTER INSERT ON stripe_refunds
FOR EACH ROW EXECUTE FUNCTION billing_tell_refund();
CREATE TRIGGER billing_tell_refund AFTER UPDATE ON stripe_refunds
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION billing_tell_refund();

CREATE FUNCTION billing_tell_credit_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'credit_note.' || told.type, NEW.stripe_credit_note_id, told.type, NEW.livemode, NULL, NULL,
        CASE WHEN TG_OP = 'INSERT' THEN NEW.stripe_created ELSE now() END,
        jsonb_build_object('creditNote', jsonb_build_object(
            'stripeCreditNoteId', NEW.stripe_credit_note_id,
            'stripeInvoiceId', NEW.stripe_invoice_id,
            'number', NEW.stripe_number,
            'status', NEW.status,
            'amount', NEW.amount,
            'amountBeforePayment', NEW.amount_before_payment,
            'amountRefunded', NEW.amount_refunded,
            'amountToBalance', NEW.amount_to_balance,
            'amountOutOfBand', NEW.amount_out_of_band,
            'currency', NEW.currency,
            'reason', NEW.reason,
            'pdf', NEW.pdf
        ))
    )
    FROM (
        VALUES
            ('created', TG_OP = 'INSERT'),
            ('voided', NEW.status = 'void')
    ) AS told (type, happened)
    WHERE told.happened;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_credit_note() IS 'Records the transitions of a credit note';
CREATE TRIGGER billing_tell_new_credit_note AFTER INSERT ON stripe_credit_notes
FOR EACH ROW EXECUTE FUNCTION billing_tell_credit_note();
CREATE TRIGGER billing_tell_credit_note AFTER UPDATE ON stripe_credit_notes
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION billing_tell_credit_note();

-- An inquiry that becomes a chargeback is told as such: the money is taken then.
CREATE FUNCTION billing_tell_dispute() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
DECLARE
    status_before text := '';
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    IF TG_OP = 'UPDATE' THEN
        status_before := OLD.status;
    END IF;
    PERFORM billing_record_message(
        'dispute.' || told.type, NEW.stripe_dispute_id, told.version, NEW.livemode, NULL, NULL,
        CASE WHEN TG_OP = 'INSERT' THEN NEW.stripe_created ELSE now() END,
        jsonb_build_object('dispute', jsonb_build_object(
            'stripeDisputeId', NEW.stripe_dispute_id,
            'stripeChargeId', NEW.stripe_charge_id,
            'status', NEW.status,
            'reason', NEW.reason,
            'amount', NEW.amount,
            'currency', NEW.currency,
            'fee', NEW.fee,
            'feeCurrency', NEW.fee_currency,
            'isChargeRefundable', NEW.is_charge_refundable,
            'evidenceDueAt', NEW.evidence_due_at
        ))
    )
    FROM (
        VALUES
            ('created', TG_OP = 'INSERT', 'created'),
            ('escalated', NEW.status = 'needs_response' AND starts_with(status_before, 'warning_'), 'escalated'),
            (
                'answered',
                NEW.status IN ('under_review', 'warning_under_review', 'appeal_under_review'),
                NEW.status
            ),
            ('won', NEW.status IN ('won', 'warning_closed', 'prevented'), 'won'),
            ('lost', NEW.status = 'lost', NEW.movements || ' ' || NEW.submissions)
    ) AS told (type, happened, version)
    WHERE told.happened;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_dispute() IS 'Records the transitions of a dispute';
CREATE TRIGGER billing_tell_new_dispute AFTER INSERT ON stripe_disputes
FOR EACH ROW EXECUTE FUNCTION billing_tell_dispute();
CREATE TRIGGER billing_tell_dispute AFTER UPDATE ON stripe_disputes
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION billing_tell_dispute();

CREATE FUNCTION billing_tenant_message(id uuid, status text, subscription uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('tenant', jsonb_build_object(
        'id', id,
        'status', status,
        'services', ARRAY(
            SELECT v.product_type
            FROM tenant_services AS v
            WHERE v.subscription_id = subscription
              AND v.actual IN ('active', 'suspended')
            ORDER BY v.product_type
        )
    ))
$$;
COMMENT ON FUNCTION billing_tenant_message(uuid, text, uuid) IS 'A tenant as messages tell it, with the services whose accounts exist';

CREATE FUNCTION billing_tell_tenant() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
DECLARE
    moment text := extract(epoch FROM now())::text;
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'tenant.' || told.type, NEW.id::text, told.version, s.livemode, s.id, s.customer_id, now(),
        billing_tenant_message(NEW.id, NEW.status, s.id) || CASE told.type
            WHEN 'suspended' THEN jsonb_build_object('suspension', billing_suspension_message(s.id))
            ELSE '{}'
        END
    )
    FROM subscriptions AS s
    CROSS JOIN (
        VALUES
            ('ready', NEW.status = 'active' AND OLD.status <> 'suspended', 'ready'),
            ('resumed', NEW.status = 'active' AND OLD.status = 'suspended', moment),
            ('suspended', NEW.status = 'suspended', moment),
            ('terminated', NEW.status = 'cancelled', 'terminated')
    ) AS told (type, happened, version)
    WHERE s.id = NEW.billing_subscription_id
      AND told.happened;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_tenant() IS 'Records the transitions of a tenant';
CREATE TRIGGER billing_tell_tenant AFTER UPDATE ON tenants
FOR EACH ROW WHEN (NEW.billing_subscription_id IS NOT NULL AND OLD.status IS DISTINCT FROM NEW.status)
EXECUTE FUNCTION billing_tell_tenant();

CREATE FUNCTION billing_tell_service() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA) || ', pg_temp', TRUE);
    PERFORM billing_record_message(
        'tenant.changed', t.id::text, extract(epoch FROM now())::text, s.livemode, s.id, s.customer_id, now(),
        billing_tenant_message(t.id, t.status, s.id) || jsonb_build_object(
            'service', jsonb_build_object('productType', NEW.product_type, 'state', NEW.actual, 'resources', NEW.resources)
        )
    )
    FROM subscriptions AS s
    JOIN tenants AS t
        ON t.id = s.tenant_id
    WHERE s.id = NEW.subscription_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION billing_tell_service() IS 'Records tenant.changed';
CREATE TRIGGER billing_tell_service AFTER UPDATE ON tenant_services
FOR EACH ROW WHEN (
    OLD.actual = 'active'
    AND NEW.actual = 'active'
    AND OLD.resources IS DISTINCT FROM NEW.resources
) EXECUTE FUNCTION billing_tell_service();

-- A trigger needs no right to fire; without it nobody can make one of theirs run these.
REVOKE EXECUTE ON FUNCTION
    billing_record_message(text, text, text, boolean, uuid, uuid, timestamptz, jsonb),
    billing_tell_order(),
    billing_tell_subscription(),
    billing_tell_invoice(),
    billing_tell_upcoming(),
    billing_tell_refund(),
    billing_tell_credit_note(),
    billing_tell_dispute(),
    billing_tell_tenant(),
    billing_tell_service()
FROM PUBLIC;

-- migrate:down
DROP TRIGGER billing_tell_service ON tenant_services;
DROP TRIGGER billing_tell_tenant ON tenants;
DROP TRIGGER billing_tell_dispute ON stripe_disputes;
DROP TRIGGER billing_tell_new_dispute ON stripe_disputes;
DROP TRIGGER billing_tell_credit_note ON stripe_credit_notes;
DROP TRIGGER billing_tell_new_credit_note ON stripe_credit_notes;
DROP TRIGGER billing_tell_refund ON stripe_refunds;
DROP TRIGGER billing_tell_new_refund ON stripe_refunds;
DROP TRIGGER billing_tell_upcoming ON stripe_events;
DROP TRIGGER billing_tell_invoice ON invoices;
DROP TRIGGER billing_tell_new_invoice ON invoices;
DROP TRIGGER billing_tell_subscription ON subscriptions;
DROP TRIGGER billing_tell_order ON orders;
DROP FUNCTION billing_tell_service();
DROP FUNCTION billing_tell_tenant();
DROP FUNCTION billing_tenant_message(uuid, text, uuid);
DROP FUNCTION billing_tell_dispute();
DROP FUNCTION billing_tell_credit_note();
DROP FUNCTION billing_tell_refund();
DROP FUNCTION billing_tell_upcoming();
DROP FUNCTION billing_moment_of(jsonb);
DROP FUNCTION billing_tell_invoice();
DROP FUNCTION billing_tell_subscription();
DROP FUNCTION billing_tell_order();
DROP FUNCTION billing_subscription_message(subscriptions);
DROP FUNCTION billing_cancellation_message(subscriptions);
DROP FUNCTION billing_suspension_message(uuid);
DROP FUNCTION billing_addons_message(jsonb);
DROP FUNCTION billing_record_message(text, text, text, boolean, uuid, uuid, timestamptz, jsonb);
DROP FUNCTION billing_is_wanted(text, text[]);
DROP TABLE billing_deliveries;
DROP TABLE billing_message_sequences;
DROP TABLE billing_messages;
DROP TABLE billing_receivers;
