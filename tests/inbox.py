"""Delivers events as the webhook route does, and reads the rows that they leave."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import asyncpg

from mpanel_billing.database.pool import Pool
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.webhooks.event import parse_event
from mpanel_billing.webhooks.inbox import receive_event
from mpanel_billing.webhooks.jsonb import Body
from tests import stripe_objects as made


@dataclass(frozen=True)
class Inbox:
    """Stores and applies events as the webhook route does, and reads the rows."""

    pool: Pool

    @property
    def mirror(self) -> Mirror:
        """The mirror that applies the events; it never calls Stripe."""
        return Mirror(self.pool, cast("StripeGateway", None), livemode=False)

    async def receive(self, payload: Mapping[str, Any]) -> str:
        """Store and apply an event; return the status of the outcome."""
        return (
            await receive_event(self.pool, parse_event(Body.of(payload), livemode=False))
        ).status

    async def deliver(self, type_: str, stripe_object: Mapping[str, Any], **more: Any) -> str:
        """Deliver an event about an object; return the status of the outcome."""
        return await self.receive(made.event(type_, stripe_object, **more))

    async def row(self, query: str, *args: object) -> asyncpg.Record:
        """Return the one row of a query."""
        rows = await self.pool.fetch(query, *args)
        assert len(rows) == 1, rows
        return rows[0]

    async def subscription(self, stripe_id: str = "sub_1") -> asyncpg.Record:
        """Return the mirrored row of a subscription."""
        return await self.row(
            "SELECT * FROM subscriptions WHERE stripe_subscription_id = $1", stripe_id
        )

    async def order(self, customer: str = "cus_1", session: str | None = "cs_test_1") -> UUID:
        """Insert an order as checkout leaves it once its session is open."""
        row = await self.row(
            """
            WITH buyer AS (
                INSERT INTO customers (email, name, stripe_customer_id)
                VALUES ('ada@example.com', 'Ada', $1) RETURNING id
            ), known AS (
                INSERT INTO stripe_customers (id, customer_id, livemode)
                SELECT $1, id, FALSE FROM buyer
            ), ordered AS (
                INSERT INTO subscriptions (customer_id, status, billing_provider, livemode,
                    currency, amount, price, auto_renew, stripe_customer_id, checkout_session_id)
                SELECT id, 'provisional', 'stripe', FALSE, 'usd', 799, 7.99, FALSE, $1, $2
                FROM buyer RETURNING id
            ), opened AS (
                INSERT INTO checkout_sessions (subscription_id, attempt, stripe_session_id,
                    livemode, params, status)
                SELECT id, 1, $2, FALSE, '{}', CASE WHEN $2::text IS NULL THEN 'creating'
                    ELSE 'open' END
                FROM ordered
            )
            SELECT id FROM ordered
            """,
            customer,
            session,
        )
        order_id: UUID = row["id"]
        return order_id
