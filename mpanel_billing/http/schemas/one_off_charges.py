"""Bodies for one-off charges on the next invoice of a subscription. Amounts are in minor units."""

from collections.abc import Sequence
from typing import Self

from pydantic import Field

from mpanel_billing.http.schemas.base import Moment, OwnerRequest, Response, Schema
from mpanel_billing.http.schemas.invoices import Note
from mpanel_billing.http.schemas.manual_invoices import NewLineRequest
from mpanel_billing.stripe_gateway.one_off_charges import OneOffCharge


class PreviewChargeRequest(OwnerRequest, NewLineRequest):
    """What a subscription would be charged for with its next invoice, in its currency."""


class ChargeRequest(PreviewChargeRequest):
    """What a subscription is charged for with its next invoice; `reason` is for the record."""

    reason: Note | None = None


class WithdrawChargeRequest(OwnerRequest):
    """The subscription's owner, and why the charge is withdrawn, for the record."""

    reason: Note | None = None


class OneOffChargeSchema(Schema):
    """A charge: `amount` is before taxes that are added to it."""

    id: str = Field(description="Stripe's id (`ii_...`).")
    description: str
    quantity: int
    amount: int
    currency: str
    created_at: Moment
    stripe_invoice_id: str | None = Field(
        description="What bills it; null: it waits for the next invoice."
    )

    @classmethod
    def of(cls, charge: OneOffCharge) -> Self:
        """Build the object from a charge."""
        return cls(
            id=charge.id,
            description=charge.description,
            quantity=charge.quantity,
            amount=charge.amount,
            currency=charge.currency,
            created_at=charge.created,
            stripe_invoice_id=charge.stripe_invoice_id,
        )


class OneOffChargeResponse(Response):
    """A one-off charge."""

    charge: OneOffChargeSchema


class OneOffChargesResponse(Response):
    """The one-off charges of a subscription, the newest first."""

    charges: tuple[OneOffChargeSchema, ...]

    @classmethod
    def of(cls, charges: Sequence[OneOffCharge]) -> Self:
        """Build the response from charges."""
        return cls(charges=tuple(OneOffChargeSchema.of(one) for one in charges))


class WithdrawnChargeResponse(Response):
    """Whether a charge was still there; false: it was withdrawn before."""

    changed: bool
