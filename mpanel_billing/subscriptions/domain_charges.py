"""Charge a further year of a domain, and take back what was not paid.

It is a line on the plan's own invoice if that is made before the domain expires, else an invoice of
its own, which is of no subscription: an unpaid domain is no debt of the hosting. The line is put on
the draft that Stripe has made for a term, and never waits for one: an upgrade that is charged at
once would take up what waits. What an attempt sends is stored before it is sent. A try that has
begun before looks at Stripe first: an idempotency key alone would help for a day.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from mpanel_billing.database.pool import acquired
from mpanel_billing.domains.repository import renewals
from mpanel_billing.domains.repository.renewals import Payable, Renewal
from mpanel_billing.errors import ConflictError, StripeError, StripeObjectMissingError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.charges import delete_pending_item, void_invoice
from mpanel_billing.stripe_gateway.domain_charges import (
    ATTEMPT,
    RENEWAL_ID,
    ChargedItem,
    OwnInvoice,
    create_invoice,
    create_item,
    find_invoice,
    find_item,
    get_invoice,
    get_item,
    get_line_total,
)
from mpanel_billing.stripe_gateway.drafts import delete_draft
from mpanel_billing.stripe_gateway.invoices import act_on_invoice
from mpanel_billing.subscriptions.manual_invoices import taxes_of

AFTER_TERM = timedelta(minutes=10)
"""So long after a term of the plan has begun its invoice is there; it is a draft for an hour."""

SENT = "send_invoice"
"""The `collection_method` of what customers pay themselves, without a card on file."""

WHILE_UNPAID = timedelta(days=1)
"""How often a line is looked at whose invoice is not paid."""

_FINAL = frozenset({"void", "deleted"})


class NothingChargedError(Exception):
    """Stripe has refused, and nothing of the attempt is there: the next may send something else."""

    def __init__(self, error: StripeError) -> None:
        """Keep what Stripe said."""
        super().__init__(str(error))
        self.error = error


@contextmanager
def _making_all() -> Iterator[None]:
    """Make what is charged, of which nothing is there yet: a refusal means that it stays so."""
    try:
        yield
    except StripeError as error:
        # a key that was used for something else may have made it
        if error.definite and error.code == "stripe_refused":
            raise NothingChargedError(error) from error
        raise


async def charge(mirror: Mirror, renewal: Renewal, now: datetime) -> None:
    """Have Stripe collect a renewal that is due.

    NothingChargedError, StripeError if something may be charged, ConflictError without a payer.
    """
    params = renewal.params or await _begin(mirror, renewal, now)
    if params is None:
        return
    if params["way"] == "plan":
        await _charge_with_plan(mirror, renewal, params, now)
    else:
        await _charge_alone(mirror, renewal, params)


async def _begin(mirror: Mirror, renewal: Renewal, now: datetime) -> Mapping[str, Any] | None:
    """Decide how to charge it, and store that; None: it is not due now, or not any more."""
    if renewal.stripe_subscription_id is None:
        raise ConflictError(f"The customer of {renewal.name} pays for nothing at Stripe.")
    fields = await mirror.refresh("subscription", renewal.stripe_subscription_id)
    # what is sent may be due only when the domain has expired
    fits = renewal.fits_plan and fields.get("collection_method") != SENT
    draft = await _draft_of(mirror, fields) if fits else None
    if draft is not None:
        params = _with_plan(renewal, draft)
    elif fits and renewal.waits_for_plan and renewal.plan_charged_at is not None:
        async with acquired(mirror.pool) as conn:
            await renewals.put_off(conn, renewal, renewal.plan_charged_at + AFTER_TERM)
        return None
    else:
        card = await _card_of(mirror, renewal, fields)
        params = _alone(renewal, fields, card, max(1, (renewal.pay_by - now).days - 1))
    async with acquired(mirror.pool) as conn:
        return await renewals.begin_charge(conn, renewal, params | {"at": now.isoformat()})


async def _draft_of(mirror: Mirror, subscription: Mapping[str, Any]) -> str | None:
    """Return the invoice of the term that has just begun, if Stripe has still to finalize it."""
    latest = subscription.get("latest_invoice")
    if latest is None:
        return None
    id_: str = latest if isinstance(latest, str) else latest["id"]
    invoice = await mirror.refresh("invoice", id_)
    is_of_term = invoice.get("billing_reason") == "subscription_cycle"
    is_open = invoice["status"] == "draft" and invoice.get("auto_advance") is not False
    return id_ if is_of_term and is_open else None


def _with_plan(renewal: Renewal, draft: str) -> dict[str, Any]:
    return {
        "way": "plan",
        "customer": renewal.stripe_customer_id,
        "line": {**_line(renewal), "invoice": draft},
    }


async def _card_of(mirror: Mirror, renewal: Renewal, subscription: Mapping[str, Any]) -> str | None:
    """Return the card to name: Checkout saves it for the subscription only.

    None: the customer's default, which is newer than that of a subscription that has ended.
    """
    card: str | None = subscription.get("default_payment_method")
    if subscription.get("ended_at") is None:
        return card
    customer = await mirror.refresh("customer", renewal.stripe_customer_id or "")
    settings = customer.get("invoice_settings") or {}
    return None if settings.get("default_payment_method") else card


def _alone(
    renewal: Renewal, subscription: Mapping[str, Any], card: str | None, days: int
) -> dict[str, Any]:
    """Return the params of an invoice of its own: collected as the plan's, due in so many days."""
    collected: dict[str, Any] = {"default_payment_method": card} if card else {}
    if subscription.get("collection_method") == SENT:
        collected = {"collection_method": SENT, "days_until_due": days}
    return {
        "way": "own",
        "customer": renewal.stripe_customer_id,
        "line": _line(renewal),
        "invoice": {
            "currency": renewal.currency,
            **taxes_of(subscription),
            **collected,
        },
    }


def _line(renewal: Renewal) -> dict[str, Any]:
    return {
        "amount": renewal.amount,
        "currency": renewal.currency,
        "description": renewal.description,
        "discountable": False,
        "metadata": _metadata(renewal),
    }


def _metadata(renewal: Renewal) -> dict[str, str]:
    return {RENEWAL_ID: str(renewal.id), ATTEMPT: str(renewal.attempt)}


async def _charge_with_plan(
    mirror: Mirror, renewal: Renewal, params: Mapping[str, Any], now: datetime
) -> None:
    item = await _find_item(mirror, renewal, params) if renewal.params else None
    if item is None:
        sent = {"customer": params["customer"], **params["line"]}
        with _making_all():
            item = await create_item(mirror.stripe, sent, f"{renewal.key}-item")
    await _note(mirror, renewal, item.id, item.invoice, now + WHILE_UNPAID)


async def _find_item(
    mirror: Mirror, renewal: Renewal, params: Mapping[str, Any]
) -> ChargedItem | None:
    return await find_item(mirror.stripe, params["customer"], str(renewal.id), renewal.attempt)


async def _charge_alone(mirror: Mirror, renewal: Renewal, params: Mapping[str, Any]) -> None:
    invoice = await _find_invoice(mirror, renewal, params) if renewal.params else None
    if invoice is None:
        sent = {
            "customer": params["customer"],
            **params["invoice"],
            "metadata": _metadata(renewal),
        }
        with _making_all():
            invoice = await create_invoice(mirror.stripe, sent, f"{renewal.key}-invoice")
    await _complete(mirror, renewal, params, invoice)
    await mirror.refresh("invoice", invoice.id)
    found = await _find_invoice(mirror, renewal, params)
    await _note(mirror, renewal, found.item if found else None, invoice.id, None)


async def _complete(
    mirror: Mirror, renewal: Renewal, params: Mapping[str, Any], invoice: OwnInvoice
) -> None:
    """Give a draft its line, and finalize it; from then on Stripe collects it.

    What Stripe refuses is deleted: the next attempt makes one of its own.
    """
    try:
        if invoice.item is None:
            await _add_line(mirror, renewal, params, invoice)
        if invoice.status == "draft":
            collects = {"auto_advance": True}
            key = f"{renewal.key}-finalize"
            await act_on_invoice(mirror.stripe, "finalize_invoice", invoice.id, collects, key)
    except StripeError as error:
        if not error.definite:
            raise
        if (await mirror.refresh("invoice", invoice.id))["status"] != "draft":
            return  # it was finalized after all
        await delete_draft(mirror.stripe, invoice.id)
        await mirror.refresh_or_bury("invoice", invoice.id)
        raise NothingChargedError(error) from error


async def _find_invoice(
    mirror: Mirror, renewal: Renewal, params: Mapping[str, Any]
) -> OwnInvoice | None:
    return await find_invoice(mirror.stripe, params["customer"], str(renewal.id), renewal.attempt)


async def _add_line(
    mirror: Mirror, renewal: Renewal, params: Mapping[str, Any], invoice: OwnInvoice
) -> None:
    sent = {"customer": params["customer"], "invoice": invoice.id, **params["line"]}
    await create_item(mirror.stripe, sent, f"{renewal.key}-item")


async def _note(
    mirror: Mirror, renewal: Renewal, item: str | None, invoice: str | None, at: datetime | None
) -> None:
    async with acquired(mirror.pool) as conn:
        await renewals.note_charged(conn, renewal, item=item, invoice=invoice, next_attempt_at=at)


async def follow(mirror: Mirror, renewal: Renewal, now: datetime) -> None:
    """Look whether a line is still on its invoice of the plan; charge it otherwise if it is not.

    An invoice may be voided until it is paid. StripeError.
    """
    item = await _still_charged(mirror, renewal)
    if item is None or item.invoice is None:
        await take_back(mirror, renewal, now)
        return
    await _note(mirror, renewal, item.id, item.invoice, now + WHILE_UNPAID)


async def is_billed(mirror: Mirror, line: Payable, now: datetime) -> bool:
    """Return whether a line is on its paid invoice of the plan; if not, it is charged otherwise.

    Somebody may have taken it off the draft. StripeError.
    """
    invoice_id, item_id = line.stripe_invoice_id or "", line.stripe_item_id or ""
    if await get_line_total(mirror.stripe, invoice_id, item_id) is not None:
        return True
    with suppress(StripeObjectMissingError):
        item = await get_item(mirror.stripe, item_id)
        if item.invoice is None:
            await delete_pending_item(mirror.stripe, item.id)
    async with acquired(mirror.pool) as conn:
        await renewals.note_taken_back(conn, line, now)
    return False


async def _still_charged(mirror: Mirror, renewal: Renewal) -> ChargedItem | None:
    """Return its line; None if the line or its invoice was deleted, or the invoice voided."""
    try:
        item = await get_item(mirror.stripe, renewal.stripe_item_id or "")
        if item.invoice is None:
            return item
        invoice = await mirror.refresh("invoice", item.invoice)
    except StripeObjectMissingError:
        return None
    return None if invoice["status"] in _FINAL else item


async def take_back(mirror: Mirror, renewal: Renewal, now: datetime) -> None:
    """Leave nothing at Stripe by which a renewal could still be paid; StripeError.

    A line on an open invoice of the plan stays: if that is paid, the domain is.
    """
    if await _is_taken_back(mirror, renewal):
        async with acquired(mirror.pool) as conn:
            await renewals.note_taken_back(conn, renewal, now)
    else:
        async with acquired(mirror.pool) as conn:
            await renewals.put_off(conn, renewal, now + timedelta(days=1))


async def _is_taken_back(mirror: Mirror, renewal: Renewal) -> bool:
    if renewal.params is None:
        return True
    if renewal.params["way"] == "own":
        return await _is_voided(mirror, renewal, renewal.params)
    return await _is_removed(mirror, renewal, renewal.params)


async def _is_removed(mirror: Mirror, renewal: Renewal, params: Mapping[str, Any]) -> bool:
    with suppress(StripeObjectMissingError):
        item = (
            await get_item(mirror.stripe, renewal.stripe_item_id)
            if renewal.stripe_item_id
            else await _find_item(mirror, renewal, params)
        )
        if item and item.invoice:
            invoice = await mirror.refresh("invoice", item.invoice)
            await _note_invoice(mirror, renewal, item)
            return invoice["status"] in _FINAL
        if item:
            await delete_pending_item(mirror.stripe, item.id)
    return True


async def _note_invoice(mirror: Mirror, renewal: Renewal, item: ChargedItem) -> None:
    async with acquired(mirror.pool) as conn:
        await renewals.note_invoice(conn, renewal, item.id, item.invoice or "")


async def _is_voided(mirror: Mirror, renewal: Renewal, params: Mapping[str, Any]) -> bool:
    if renewal.stripe_invoice_id is None:
        invoice = await _find_invoice(mirror, renewal, params)
    else:
        invoice = await get_invoice(mirror.stripe, renewal.stripe_invoice_id)
    if invoice is None:
        return True
    if invoice.status == "draft":
        await delete_draft(mirror.stripe, invoice.id)
    elif invoice.status in {"open", "uncollectible"}:
        await void_invoice(mirror.stripe, invoice.id, f"{renewal.key}-void")
    elif invoice.status == "paid":
        await mirror.refresh("invoice", invoice.id)
        await _note_invoice(mirror, renewal, ChargedItem(invoice.item or "", invoice.id))
        return False
    await mirror.refresh_or_bury("invoice", invoice.id)
    return True
