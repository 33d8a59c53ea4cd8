"""Mandates: a customer's agreement to debits of their bank account."""

from stripe_sandbox.bank_accounts import TestAccount
from stripe_sandbox.billing.customers import CARD, instrument_behind
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

KIND = "mandate"


def mandate_of(world: World, method_id: str) -> str | None:
    """Return the id of a payment method's mandate, if it has one."""
    return (world.store.peek(CARD, method_id) or {}).get("mandate")


def give_mandate(
    world: World, intent: Document, method_id: str, accepted: ReadOnly | None = None
) -> None:
    """Give a bank account the mandate that it needs, if it has none yet.

    `accepted` is the `customer_acceptance` of the request.
    """
    account = instrument_behind(world, method_id)
    if not isinstance(account, TestAccount) or (mandate_of(world, method_id) and not accepted):
        return
    mandate_id = world.ids.next("mandate")
    reference = mandate_id.removeprefix("mandate_")[:16].upper()
    details: Document = {}
    if account.type == "sepa_debit":
        url = f"{world.base_url}/mandates/{mandate_id}"
        details = {"reference": reference, "url": url}
    world.add(
        {
            "id": mandate_id,
            "object": KIND,
            "customer_acceptance": _acceptance(world.time_of(intent), accepted),
            "livemode": False,
            "multi_use": {},
            "payment_method": method_id,
            "payment_method_details": {account.type: details, "type": account.type},
            "status": "active",
            "type": "multi_use",
        }
    )
    world.store.put(CARD, {**(world.store.peek(CARD, method_id) or {}), "mandate": mandate_id})


def _acceptance(now: int, accepted: ReadOnly | None) -> Document:
    if accepted is None:
        return {"accepted_at": now, "online": {}, "type": "online"}
    kind = accepted["type"]
    return {
        "accepted_at": accepted.get("accepted_at") or now,
        kind: dict(accepted.get(kind) or {}),
        "type": kind,
    }
