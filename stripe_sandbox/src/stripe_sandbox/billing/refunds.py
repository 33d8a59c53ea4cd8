"""Refunds: at once, pending, or failed some time later."""

from dataclasses import dataclass, field

from stripe_sandbox.billing.balance import Movement, add_transaction
from stripe_sandbox.billing.customers import instrument_behind
from stripe_sandbox.billing.later import plan_task
from stripe_sandbox.billing.warnings import settle_warnings
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.money import check_step, format_amount
from stripe_sandbox.world import World, differences

KIND = "refund"
DELAY = 180
"""Seconds until a pending refund succeeds, or a succeeded one fails."""

FAILED_REASON = "expired_or_canceled_card"


@dataclass(frozen=True)
class NewRefund:
    """A refund of a charge; `amount` is in minor units, None for all that is left."""

    charge: Document
    amount: int | None = None
    reason: str | None = None
    metadata: ReadOnly = field(default_factory=dict)


def make_refund(world: World, new: NewRefund) -> Document:
    """Refund a charge; raises ApiError for more than is left, or a charge that was disputed."""
    charge = new.charge
    amount = _checked_amount(world, new)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    refund = world.add(
        {
            "id": world.ids.next("re"),
            "object": KIND,
            "amount": amount,
            "charge": charge["id"],
            "created": world.time_of(charge),
            "currency": charge["currency"],
            "customer": charge["customer"],
            "destination_details": _destination(charge),
            "metadata": dict(new.metadata),
            "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"],
            "reason": new.reason,
            "status": "pending" if _outcome(world, charge) == "succeeds_later" else "succeeded",
        }
    )
    refund["balance_transaction"] = _take(world, refund)
    refund = world.save(refund)
    world.change(charge, event="charge.refunded")
    world.announce("refund.created", refund)
    settle_warnings(world, charge)
    if _outcome(world, charge) != "succeeds":
        plan_task(world, "settle_refund", refund, DELAY, clock=world.clock_of(charge))
    return refund


def _destination(charge: ReadOnly) -> Document:
    """Return where a refund goes: back to the card, or by a transfer to the bank account."""
    kind = charge["payment_method_details"]["type"]
    transfers = {"sepa_debit": "eu_bank_transfer", "us_bank_account": "us_bank_transfer"}
    if kind == "card":
        return {"card": {"type": "refund"}, "type": "card"}
    transfer = transfers.get(kind)
    return {transfer: {}, "type": transfer} if transfer else {"type": kind}


def _checked_amount(world: World, new: NewRefund) -> int:
    charge = new.charge
    if charge["disputed"] and not _is_refundable(world, charge["id"]):
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise invalid(message, code="charge_disputed")
    left = charge["amount_captured"] - charge["amount_refunded"]
    if not left:
        message = f"Charge {charge['id']} has already been refunded."
        raise invalid(message, code="charge_already_refunded")
    check_step(new.amount, charge["currency"], "amount")
    amount = left if new.amount is None else new.amount
    if not 0 < amount <= left:
        asked, rest = (format_amount(one, charge["currency"]) for one in (amount, left))
        message = f"Refund amount ({asked}) is greater than unrefunded amount on charge ({rest})"
        raise invalid(message, param="amount")
    return amount


def _is_refundable(world: World, charge_id: str) -> bool:
    mine = world.store.where("dispute", "charge", charge_id)
    return all(dispute["is_charge_refundable"] for dispute in mine)


def _outcome(world: World, charge: ReadOnly) -> str:
    return instrument_behind(world, charge["payment_method"]).refund


def _take(world: World, refund: ReadOnly) -> str:
    """Store the balance transaction of a refund; Stripe keeps its fees."""
    movement = Movement(
        kind="refund",
        amount=-refund["amount"],
        currency=refund["currency"],
        source=refund["id"],
        description=f"REFUND FOR CHARGE ({refund['charge']})",
    )
    return str(add_transaction(world, movement, refund["created"])["id"])


def settle_refund(world: World, refund: Document) -> None:
    """Let a pending refund succeed, and a succeeded one fail."""
    if refund["status"] == "pending":
        update(world, refund | {"status": "succeeded"})
    elif refund["status"] == "succeeded":
        fail_refund(world, refund, FAILED_REASON)


def fail_refund(world: World, refund: Document, reason: str) -> Document:
    """Let a refund fail: its amount comes back to the balance, and to the charge."""
    if refund["status"] not in {"pending", "succeeded"}:
        raise invalid(f"The refund cannot fail: it is `{refund['status']}`.", param="refund")
    movement = Movement(
        kind="refund_failure",
        amount=refund["amount"],
        currency=refund["currency"],
        source=refund["id"],
        description=f"REFUND FAILURE ({refund['charge']})",
    )
    returned = add_transaction(world, movement, world.time_of(refund))
    charge = world.find("charge", refund["charge"])
    if world.choices.failed_refunds == "restored":
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        world.change(charge)
    failure = {"failure_balance_transaction": returned["id"], "failure_reason": reason}
    refund = update(world, refund | failure | {"status": "failed"})
    world.announce("refund.failed", refund)
    return refund


def update(world: World, refund: Document) -> Document:
    """Announce a changed refund, by its own event and by the older one of its charge, if any."""
    previous = differences(world.find(KIND, refund["id"]), refund)
    refund = world.change(refund)
    if refund["charge"]:
        world.announce("charge.refund.updated", refund, previous=previous)
    return refund
