-- Who has a subscription in figures: the customer, or whoever had it when its row was deleted here, or else it itself.
-- Code that is running calls it by its name and its parameters: a change of either is a _v2.

CREATE OR REPLACE FUNCTION billing_mrr_customer_v1(of_subscription uuid)
RETURNS uuid
LANGUAGE sql
STABLE
AS $$
    SELECT coalesce(
        (
            SELECT s.customer_id
            FROM subscriptions AS s
            WHERE s.id = of_subscription
        ),
        (
            SELECT (gone.subscription ->> 'customer_id')::uuid
            FROM billing_deleted_subscriptions AS gone
            WHERE gone.subscription_id = of_subscription
        ),
        of_subscription
    )
$$;
COMMENT ON FUNCTION billing_mrr_customer_v1(uuid) IS 'Who has a subscription in figures';
