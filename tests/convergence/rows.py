"""Lives in a database: their orders, and the rows that mirror them."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpanel_billing.database.pool import Pool
from mpanel_billing.mirror.mirror import Mirror
from tests.convergence.life import Life
from tests.convergence.lifecycles import live
from tests.inbox import Inbox

CATALOGUE = """
    INSERT INTO products (id, name, type, price, code, kind, stripe_product_id, livemode)
    VALUES ('00000000-0000-4000-8000-000000000001', 'Web', 'hosting', 7.99, 'web', 'plan',
            'prod_web', FALSE),
        ('00000000-0000-4000-8000-000000000002', 'Shop', 'hosting', 12.99, 'shop', 'plan',
            'prod_shop', FALSE),
        ('00000000-0000-4000-8000-000000000003', 'Disk', 'storage', 3, 'disk', 'addon',
            'prod_disk', FALSE);
    INSERT INTO prices (product_id, billing_cycle, currency, unit_amount, lookup_key,
        stripe_price_id, livemode)
    SELECT p.id, 'monthly', 'usd', 799, p.code, sold.price, FALSE
    FROM (VALUES ('web', 'price_1'), ('shop', 'price_2'), ('disk', 'price_disk'))
        AS sold (code, price)
    JOIN products AS p ON p.code = sold.code"""
"""What is sold; the other prices of life.py are unknown."""
ORDERED = """
    UPDATE subscriptions
    SET metadata = '{"planId": "web", "billingCycle": "monthly", "addonIds": [],
        "productTypes": []}'
    WHERE id = $1"""

MIRRORED = {
    "subscriptions": """
        SELECT stripe_subscription_id, status, stripe_status, stripe_customer_id, currency, amount,
            price, billing_cycle, next_due_date, current_period_start, current_period_end,
            trial_end, cancel_at_period_end, canceled_at, ended_at, collection_paused,
            cancellation_reason, cancellation_feedback,
            initial_payment_settled, order_paid, stripe_payment_intent_id, checkout_session_id,
            cancel_at, entitlement, stripe_schedule_id, pending_update_expires_at
        FROM subscriptions WHERE stripe_customer_id LIKE $1""",
    # without an item of a plan, the latest known plan stays
    "plans": """
        SELECT s.stripe_subscription_id, p.code, s.metadata
        FROM subscriptions AS s LEFT JOIN products AS p ON p.id = s.product_id
        WHERE s.stripe_customer_id LIKE $1 AND EXISTS (
            SELECT 1 FROM subscription_items AS i
            WHERE i.subscription_id = s.id AND i.stripe_product_id IN ('prod_web', 'prod_shop'))""",
    "items": """
        SELECT i.stripe_subscription_item_id, i.stripe_price_id, i.stripe_product_id,
            i.price_id IS NULL, i.quantity, i.unit_amount, i.currency, i.recurring_interval,
            i.current_period_start, i.current_period_end, s.stripe_subscription_id
        FROM subscription_items AS i JOIN subscriptions AS s ON s.id = i.subscription_id
        WHERE s.stripe_customer_id LIKE $1""",
    "invoices": """
        SELECT i.stripe_invoice_id, i.status, i.stripe_status, i.amount_due, i.amount_paid,
            i.amount_remaining, i.total, i.attempt_count, i.paid_date, i.period_start,
            i.period_end, i.stripe_payment_intent_id, i.billing_reason, i.collection_method,
            i.amount_invoiced, i.amount_refunded, i.amount_credited, i.amount_disputed,
            i.disputed_since, i.finalized_at, i.due_at, i.due_date, i.next_payment_attempt,
            i.customer_id = s.customer_id, s.stripe_subscription_id
        FROM invoices AS i LEFT JOIN subscriptions AS s ON s.id = i.subscription_id
        WHERE i.stripe_customer_id LIKE $1""",
    "payments": """
        SELECT stripe_invoice_payment_id, stripe_invoice_id, stripe_payment_intent_id, status,
            amount_paid
        FROM invoice_payments WHERE stripe_invoice_id LIKE 'in' || substr($1, 4)""",
    "refunds": """
        SELECT stripe_refund_id, stripe_payment_intent_id, status, amount, failure_reason
        FROM stripe_refunds WHERE stripe_refund_id LIKE 're' || substr($1, 4)""",
    "credit notes": """
        SELECT stripe_credit_note_id, stripe_invoice_id, status, amount, amount_to_balance
        FROM stripe_credit_notes WHERE stripe_credit_note_id LIKE 'cn' || substr($1, 4)""",
    "disputes": """
        SELECT stripe_dispute_id, stripe_payment_intent_id, status, amount, fee
        FROM stripe_disputes WHERE stripe_dispute_id LIKE 'du' || substr($1, 4)""",
    "sessions": """
        SELECT c.stripe_session_id, c.attempt, c.status, c.payment_status
        FROM checkout_sessions AS c JOIN subscriptions AS s ON s.id = c.subscription_id
        WHERE s.stripe_customer_id LIKE $1""",
    "work": """
        SELECT w.inputs, s.stripe_subscription_id
        FROM provisioning_work AS w JOIN subscriptions AS s ON s.id = w.subscription_id
        WHERE s.stripe_customer_id LIKE $1""",
}


async def live_all(pool: Pool, plans: Sequence[Mapping[str, Any]], name: str) -> list[Life]:
    """Live all lives under names that start with `name`; those that are ordered have an order."""
    lives = []
    for number, plan in enumerate(plans):
        own = f"{name}x{number}"
        order = await Inbox(pool).order(f"cus_{own}", f"cs_{own}_1") if plan["ordered"] else None
        await pool.execute(ORDERED, order)
        lives.append(live(plan, own, order))
    return lives


async def run_refetches(mirror: Mirror) -> None:
    """Fetch the objects whose state the events do not decide."""
    while requests := await mirror.pool.fetch(
        "SELECT object_id FROM stripe_refetches ORDER BY requested_at"
    ):
        for request in requests:
            await mirror.refetch(request["object_id"])


async def mirrored_rows(pool: Pool, table: str, name: str) -> list[tuple[str, ...]]:
    """Return the rows of one table that mirror the lives under a name, without that name."""
    rows = await pool.fetch(MIRRORED[table], f"cus\\_{name}x%")
    return sorted(tuple(str(value).replace(name, "*") for value in row) for row in rows)
