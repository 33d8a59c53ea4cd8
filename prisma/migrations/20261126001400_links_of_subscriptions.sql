-- See invoice_links.

-- migrate:up
ALTER TABLE tenants
    ADD CONSTRAINT billing_tenants_subscription_fkey
    FOREIGN KEY (billing_subscription_id) REFERENCES subscriptions ON DELETE SET NULL NOT VALID;

-- What deletes subscriptions keeps them: billing_deleted_subscriptions. Both lock the same table.
CREATE TRIGGER billing_keep_deleted_subscription
BEFORE DELETE ON subscriptions
FOR EACH ROW WHEN (OLD.billing_provider = 'stripe')
EXECUTE FUNCTION billing_keep_deleted_subscription();

-- The statuses of billing_subscription_revenue_v1. A new row needs no note: until it has items, which are
-- noted, it adds nothing. Whose it is matters for how many customers have a product.
CREATE TRIGGER billing_note_changed_revenue
AFTER UPDATE ON subscriptions
FOR EACH ROW WHEN (
    (
        coalesce(OLD.stripe_status IN ('active', 'past_due'), FALSE),
        OLD.id,
        OLD.livemode,
        OLD.currency,
        CASE WHEN OLD.stripe_status IN ('active', 'past_due') THEN OLD.customer_id END
    ) IS DISTINCT FROM (
        coalesce(NEW.stripe_status IN ('active', 'past_due'), FALSE),
        NEW.id,
        NEW.livemode,
        NEW.currency,
        CASE WHEN NEW.stripe_status IN ('active', 'past_due') THEN NEW.customer_id END
    )
)
EXECUTE FUNCTION billing_note_revenue();
CREATE TRIGGER billing_note_lost_revenue
AFTER DELETE ON subscriptions
FOR EACH ROW WHEN (OLD.stripe_status IN ('active', 'past_due'))
EXECUTE FUNCTION billing_note_revenue();

-- Who has a subscription has its part of the ledger.
CREATE TRIGGER billing_note_new_mrr
AFTER INSERT ON subscriptions
REFERENCING NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION billing_note_mrr();
CREATE TRIGGER billing_note_lost_mrr
AFTER DELETE ON subscriptions
FOR EACH ROW EXECUTE FUNCTION billing_note_mrr();
CREATE TRIGGER billing_note_changed_mrr
AFTER UPDATE ON subscriptions
FOR EACH ROW WHEN ((OLD.id, OLD.customer_id) IS DISTINCT FROM (NEW.id, NEW.customer_id))
EXECUTE FUNCTION billing_note_mrr();

-- migrate:down
DROP TRIGGER billing_note_changed_mrr ON subscriptions;
DROP TRIGGER billing_note_lost_mrr ON subscriptions;
DROP TRIGGER billing_note_new_mrr ON subscriptions;
DROP TRIGGER billing_note_lost_revenue ON subscriptions;
DROP TRIGGER billing_note_changed_revenue ON subscriptions;
DROP TRIGGER billing_keep_deleted_subscription ON subscriptions;
ALTER TABLE tenants DROP CONSTRAINT billing_tenants_subscription_fkey;
