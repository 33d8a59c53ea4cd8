"""What mPanel is told of lives, and what it has to be told of them in any case."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpanel_billing.database.pool import Pool

News = tuple[str, ...]
"""A type, its object, and which transition of it."""

TOLD = """
    INSERT INTO billing_receivers (name, url, livemode, types, secret, created_by)
    VALUES ('panel', 'https://panel.test/', FALSE, '{*}', 'whsec_' || repeat('a', 32), 'test');
    DO $$ BEGIN EXECUTE replace(
        pg_get_functiondef('billing_record_message'::regproc), '3 days', '30 years'
    ); END $$;"""
"""Somebody is told, also of what is old: the lives of these tests begin in the past."""

_NEWS = """
    SELECT m.type, told.object, CASE
        WHEN m.type ~ '^subscription.(resumed|suspended|kept|changed|past_due)$' THEN ''
        ELSE m.transition
    END
    FROM billing_messages AS m
    LEFT JOIN subscriptions AS s
        ON s.id = m.subscription_id
        AND m.type LIKE 'subscription.%'
    CROSS JOIN LATERAL (SELECT coalesce(s.stripe_subscription_id, m.object_id) AS object) AS told
    WHERE told.object LIKE $1"""
"""Without the times of transactions, by which some transitions are known, and without the
unpaid term: of several that follow each other, the first that is seen is told."""

_STANDING = """
    SELECT told.type, told.object
    FROM (
        SELECT 'invoice.created', stripe_invoice_id
        FROM invoices WHERE stripe_status IN ('open', 'paid', 'uncollectible')
        UNION ALL SELECT 'invoice.paid', stripe_invoice_id
        FROM invoices WHERE stripe_status = 'paid'
        UNION ALL SELECT 'refund.created', stripe_refund_id FROM stripe_refunds
        UNION ALL SELECT 'refund.succeeded', stripe_refund_id
        FROM stripe_refunds WHERE status = 'succeeded'
        UNION ALL SELECT 'credit_note.created', stripe_credit_note_id FROM stripe_credit_notes
        UNION ALL SELECT 'dispute.created', stripe_dispute_id FROM stripe_disputes
        UNION ALL SELECT CASE status
            WHEN 'won' THEN 'dispute.won'
            WHEN 'lost' THEN 'dispute.lost'
            ELSE 'dispute.answered'
        END, stripe_dispute_id
        FROM stripe_disputes WHERE status IN ('won', 'lost', 'under_review')
        UNION ALL SELECT 'subscription.ended', stripe_subscription_id
        FROM subscriptions WHERE status = 'cancelled'
        UNION ALL SELECT 'subscription.cancelled', stripe_subscription_id
        FROM subscriptions WHERE status <> 'cancelled' AND cancel_at_period_end
        UNION ALL SELECT 'subscription.past_due', stripe_subscription_id
        FROM subscriptions WHERE stripe_status IN ('past_due', 'unpaid')
    ) AS told (type, object)
    WHERE told.object LIKE $1"""


async def news_of(pool: Pool, name: str) -> set[News]:
    """Return what was told of the lives under a name, without that name."""
    return _without(name, await pool.fetch(_NEWS, f"%\\_{name}x%"))


async def standing_news(pool: Pool, name: str) -> set[News]:
    """Return what their rows say that was told: states that are over may be left out."""
    return _without(name, await pool.fetch(_STANDING, f"%\\_{name}x%"))


def _without(name: str, rows: Sequence[Sequence[str]]) -> set[News]:
    return {tuple(value.replace(name, "*") for value in row) for row in rows}


def cancellations(events: Sequence[Mapping[str, Any]], name: str) -> set[News]:
    """Return the news of cancellations that events carry.

    In order, one that was taken back in its own second is not told: Stripe is asked, and has it
    no more. In disorder it may be.
    """
    about = [event["data"]["object"] for event in events]
    return {
        ("subscription.cancelled", one["id"].replace(name, "*"), f"{one['canceled_at']}.000000 t")
        for one in about
        if one.get("cancel_at_period_end") and one.get("canceled_at")
    }


async def check_news(pool: Pool, calm: str, wild: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Whatever the order: what stands was told, and nothing that has never been.

    `events` are those of the lives under the name `wild`.
    """
    told, told_in_disorder = await news_of(pool, calm), await news_of(pool, wild)
    for name, news in ((calm, told), (wild, told_in_disorder)):
        untold = await standing_news(pool, name) - {one[:2] for one in news}
        assert not untold, (name, untold, news)
    never = told_in_disorder - told - cancellations(events, wild)
    assert not never, never
