-- What refunds and disputes have taken back of payments. Written so that PostgreSQL puts it into the
-- statement that calls it: no SET, and one SELECT.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_taken_back_v1(stripe_payment_intent_ids text[])
RETURNS TABLE (refunded bigint, disputed bigint, disputed_since timestamptz)
LANGUAGE sql
STABLE
AS $$
    SELECT
        coalesce((
            SELECT sum(r.amount)
            FROM stripe_refunds AS r
            WHERE r.stripe_payment_intent_id = ANY(billing_taken_back_v1.stripe_payment_intent_ids)
              AND r.status NOT IN ('failed', 'canceled')
        ), 0)::bigint,
        coalesce(taken.amount, 0)::bigint,
        taken.since
    FROM (
        -- the bank has the money: from the chargeback on, unless it is won
        SELECT
            sum(d.amount) AS amount,
            min(d.stripe_created) FILTER (WHERE d.waived_at IS NULL) AS since
        FROM stripe_disputes AS d
        WHERE d.stripe_payment_intent_id = ANY(billing_taken_back_v1.stripe_payment_intent_ids)
          AND d.status IN (
              'needs_response', 'under_review', 'appeal_needs_response', 'appeal_under_review', 'lost'
          )
    ) AS taken
$$;
COMMENT ON FUNCTION billing_taken_back_v1(text[]) IS 'What refunds, and disputes that are open or lost, have taken back of payments, in minor units';
