"""Credit notes at Stripe, and what has to be known of an invoice before money is given back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.stripe_gateway.charges import CHANGE_ID
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    from stripe.params import CreditNoteCreateParams, CreditNotePreviewParams


@dataclass(frozen=True, slots=True)
class ListedNote:
    """A credit note as Stripe lists it; `change_id` is our change that created it, if any."""

    id: str
    status: str
    change_id: str | None
    refund_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreviewedNote:
    """What a credit note would be, in minor units; `tax` is part of `amount`."""

    amount: int
    tax: int
    before_payment: int
    after_payment: int
    currency: str


async def create_credit_note(
    gateway: StripeGateway, params: Mapping[str, Any], key: str
) -> ListedNote:
    """Issue a credit note; Stripe makes its refund, or credits the customer's balance, with it."""
    async with translated():
        note = await gateway.client.v1.credit_notes.create_async(
            cast("CreditNoteCreateParams", dict(params)), {"idempotency_key": key}
        )
    return _listed(note.to_dict())


async def preview_credit_note(gateway: StripeGateway, params: Mapping[str, Any]) -> PreviewedNote:
    """Return the credit note that these params would make."""
    async with translated():
        note = await gateway.client.v1.credit_notes.preview_async(
            cast("CreditNotePreviewParams", dict(params))
        )
    fields = note.to_dict()
    return PreviewedNote(
        amount=fields["total"],
        tax=sum(one["amount"] for one in fields.get("total_taxes") or ()),
        before_payment=fields.get("pre_payment_amount") or 0,
        after_payment=fields.get("post_payment_amount") or 0,
        currency=fields["currency"],
    )


async def list_credit_notes(gateway: StripeGateway, invoice_id: str) -> Sequence[ListedNote]:
    """Return the credit notes of an invoice, the latest hundred at most."""
    async with translated():
        page = await gateway.client.v1.credit_notes.list_async(
            {"invoice": invoice_id, "limit": PAGE_SIZE}
        )
    return [_listed(note.to_dict()) for note in page.data]


def _listed(note: Mapping[str, Any]) -> ListedNote:
    refunds = [one.get("refund") for one in note.get("refunds") or ()]
    return ListedNote(
        note["id"],
        note["status"],
        (note.get("metadata") or {}).get(CHANGE_ID),
        tuple(one if isinstance(one, str) else one["id"] for one in refunds if one),
    )
