"""Money given back through Stripe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from stripe.params import RefundCreateParams

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway

_PAGE = 100

CHANGE_ID = "changeId"
"""Metadata by which a refund of ours is known."""


@dataclass(frozen=True, slots=True)
class ListedRefund:
    """A refund as Stripe lists it; `change_id` names our change that has asked for it."""

    id: str
    status: str | None
    change_id: str | None


async def create_refund(gateway: StripeGateway, params: Mapping[str, Any], key: str) -> str:
    """Give back a payment or a part of it under an idempotency key; answer the refund's id."""
    async with translated():
        refund = await gateway.client.v1.refunds.create_async(
            cast("RefundCreateParams", dict(params)), {"idempotency_key": key}
        )
    return refund.id


async def list_refunds(gateway: StripeGateway, payment_intent_id: str) -> Sequence[ListedRefund]:
    """Return what has been given back of a payment so far, the latest hundred at most."""
    async with translated():
        page = await gateway.client.v1.refunds.list_async(
            {"payment_intent": payment_intent_id, "limit": _PAGE}
        )
    return [_listed(refund.to_dict()) for refund in page.data]


def _listed(refund: Mapping[str, Any]) -> ListedRefund:
    metadata = refund.get("metadata") or {}
    return ListedRefund(refund["id"], refund.get("status"), metadata.get(CHANGE_ID))
