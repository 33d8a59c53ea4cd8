-- See deleted_subscriptions. A file of its own, because a trigger locks its table.

-- migrate:up
CREATE TRIGGER billing_keep_deleted_subscription
BEFORE DELETE ON subscriptions
FOR EACH ROW WHEN (OLD.billing_provider = 'stripe')
EXECUTE FUNCTION billing_keep_deleted_subscription();

-- migrate:down
DROP TRIGGER billing_keep_deleted_subscription ON subscriptions;
