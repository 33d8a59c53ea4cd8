"""One invoice at Stripe: its lines, and what is done about it."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.errors import StripeError
from mpanel_billing.stripe_gateway.billed import find_payment_intents
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.subscriptions import NO_UPCOMING_INVOICE

if TYPE_CHECKING:
    from stripe.params import InvoiceCreatePreviewParams

UNKNOWN_PLACE = "customer_tax_location_invalid"

_NUMBER = re.compile(r"[\w.-]+")
"""What may be a number; a quote would end it in a query."""


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """A line of an invoice, in minor units: `amount` before its `discount` and its `tax`.

    Of the tax the `amount`, less its discount, contains `tax_included`.
    """

    description: str
    quantity: int | None
    amount: int
    discount: int
    tax: int
    tax_included: int
    proration: bool
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class InvoiceSums:
    """What an invoice adds up to, in minor units of `currency`, and its lines.

    `total` is `subtotal` less `discount`, with the taxes that prices do not contain: `tax` less
    `tax_included`.
    `payment_intents` are those by which it is, or was to be, paid.
    """

    currency: str
    subtotal: int
    discount: int
    tax: int
    tax_included: int
    total: int
    lines: tuple[InvoiceLine, ...]
    payment_intents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpcomingInvoice:
    """An invoice that is still to come, as Stripe foresees it; in minor units.

    `balance` of the customer is applied to its total (negative: taken off), `amount_due` is what is
    charged, `at` when.
    """

    sums: InvoiceSums
    balance: int
    amount_due: int
    at: datetime


async def find_by_number(gateway: StripeGateway, number: str) -> list[str]:
    """Return the ids of the invoices with a number, as Stripe's search knows them; StripeError.

    A new one is found after up to a minute. Source: docs.stripe.com/search.
    """
    if not _NUMBER.fullmatch(number):
        return []
    async with translated():
        page = await gateway.client.v1.invoices.search_async({"query": f'number:"{number}"'})
    return [one.id for one in page.data if one.id]


async def get_sums(gateway: StripeGateway, invoice_id: str) -> InvoiceSums:
    """Return an invoice's sums, with all of its lines; StripeError."""
    async with translated():
        invoice = await gateway.client.v1.invoices.retrieve_async(
            invoice_id, {"expand": ["payments"]}
        )
        lines = [line.to_dict() async for line in invoice.lines.auto_paging_iter()]
    fields = invoice.to_dict()
    return _sums(fields, lines, await find_payment_intents(gateway, fields))


async def preview_upcoming(
    gateway: StripeGateway,
    stripe_subscription_id: str,
    items: Sequence[Mapping[str, Any]] = (),
) -> UpcomingInvoice | None:
    """Return the next invoice of a subscription as Stripe foresees it; None: there is none.

    `items` are Stripe's `invoice_items` that are added to it.
    """
    params: dict[str, Any] = {"subscription": stripe_subscription_id}
    if items:
        params["invoice_items"] = [dict(item) for item in items]
    try:
        async with translated():
            invoice = await gateway.client.v1.invoices.create_preview_async(
                cast("InvoiceCreatePreviewParams", params)
            )
            lines = [line.to_dict() async for line in invoice.lines.auto_paging_iter()]
    except StripeError as error:
        if error.stripe_code != NO_UPCOMING_INVOICE:
            raise
        return None
    fields = invoice.to_dict()
    at = fields.get("next_payment_attempt") or fields["period_end"]
    return UpcomingInvoice(
        sums=_sums(fields, lines),
        balance=fields.get("starting_balance") or 0,
        amount_due=fields["amount_due"],
        at=datetime.fromtimestamp(at, UTC),
    )


@dataclass(frozen=True, slots=True)
class TaxedTotal:
    """What an invoice would come to, in minor units: `tax` is part of `total`."""

    tax: int
    total: int


async def preview_first(gateway: StripeGateway, params: Mapping[str, Any]) -> TaxedTotal:
    """Return what the first invoice of a subscription that is described would come to; StripeError.

    With the `stripe_code` UNKNOWN_PLACE if the address does not say what is taxed.
    """
    async with translated():
        invoice = await gateway.client.v1.invoices.create_preview_async(
            cast("InvoiceCreatePreviewParams", {**params, "automatic_tax": {"enabled": True}})
        )
    fields = invoice.to_dict()
    return TaxedTotal(_sum(fields.get("total_taxes")), fields["total"])


def _sums(
    fields: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
    payment_intents: tuple[str, ...] = (),
) -> InvoiceSums:
    return InvoiceSums(
        currency=fields["currency"],
        subtotal=fields["subtotal"],
        discount=_sum(fields.get("total_discount_amounts")),
        tax=_sum(fields.get("total_taxes")),
        tax_included=_included(fields.get("total_taxes")),
        total=fields["total"],
        lines=tuple(_line(line) for line in lines),
        payment_intents=payment_intents,
    )


def _sum(parts: list[Mapping[str, Any]] | None) -> int:
    return sum(int(one["amount"]) for one in parts or ())


def _included(taxes: list[Mapping[str, Any]] | None) -> int:
    """Return what of taxes is part of the prices."""
    return _sum([one for one in taxes or () if one["tax_behavior"] == "inclusive"])


def _line(line: Mapping[str, Any]) -> InvoiceLine:
    parent = line.get("parent") or {}
    origins = ("invoice_item_details", "subscription_item_details")
    return InvoiceLine(
        description=line.get("description") or "",
        quantity=line.get("quantity"),
        amount=line["amount"],
        discount=_sum(line.get("discount_amounts")),
        tax=_sum(line.get("taxes")),
        tax_included=_included(line.get("taxes")),
        proration=any((parent.get(origin) or {}).get("proration") for origin in origins),
        period_start=datetime.fromtimestamp(line["period"]["start"], UTC),
        period_end=datetime.fromtimestamp(line["period"]["end"], UTC),
    )


async def act_on_invoice(
    gateway: StripeGateway, verb: str, invoice_id: str, params: Mapping[str, Any], key: str
) -> None:
    """Finalize, pay, void an invoice, or mark it uncollectible; PaymentFailedError, StripeError."""
    invoices = gateway.client.v1.invoices
    verbs: Mapping[str, Callable[..., Awaitable[Any]]] = {
        "finalize_invoice": invoices.finalize_invoice_async,
        "pay_invoice": invoices.pay_async,
        "mark_paid": invoices.pay_async,
        "void_invoice": invoices.void_invoice_async,
        "mark_uncollectible": invoices.mark_uncollectible_async,
    }
    async with translated():
        await verbs[verb](invoice_id, dict(params), {"idempotency_key": key})
