"""What can happen to a subscription at Stripe; each step does nothing where it cannot happen."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from tests import stripe_objects as made
from tests.convergence.life import MONTH, PRICES, Life
from tests.stripe_objects import credit_note
from tests.stripe_objects import dispute as disputed

# What is bought.


def change_plan(life: Life) -> None:
    """Change the first item to another product, or back."""
    _charge(life, 0, "price_2" if _price(life, 0) == "price_1" else "price_1")


def negotiate(life: Life) -> None:
    """Give the first item a price that only its product places, or end that."""
    _charge(life, 0, "price_1" if _price(life, 0) == "price_negotiated" else "price_negotiated")


def charge_unknown(life: Life) -> None:
    """Change the last item to a price and a product that the catalogue does not have."""
    _charge(life, -1, "price_unknown")


def change_term(life: Life) -> None:
    """Bill the first item yearly, then weekly, for which mPanel has no word, then monthly."""
    terms = {"price_1": "price_yearly", "price_yearly": "price_weekly"}
    _charge(life, 0, terms.get(_price(life, 0), "price_1"))


def change_quantity(life: Life) -> None:
    """Sell three instead of one, then none, then one again."""
    items = life.items()
    items[-1]["quantity"] = {1: 3, 3: 0, 0: 1}[items[-1]["quantity"]]
    life.set_items(items)


def add_item(life: Life) -> None:
    """Add another of the first item."""
    _add(life, _price(life, 0))


def add_addon(life: Life) -> None:
    _add(life, "price_disk")


def remove_item(life: Life) -> None:
    items = life.items()
    if len(items) > 1:
        life.set_items(items[:-1])


def remove_first_item(life: Life) -> None:
    items = life.items()
    if len(items) > 1:
        life.set_items(items[1:])


def _price(life: Life, place: int) -> str:
    return str(life.items()[place]["price"]["id"])


def _priced(item: dict[str, Any], price: str) -> dict[str, Any]:
    product, amount, interval = PRICES[price]
    about = {"id": price, "product": product, "unit_amount": amount}
    return {
        **item,
        "price": item["price"] | about | {"recurring": {"interval": interval, "interval_count": 1}},
    }


def _charge(life: Life, place: int, price: str) -> None:
    items = life.items()
    items[place] = _priced(items[place], price)
    life.set_items(items)


def _add(life: Life, price: str) -> None:
    items = life.items()
    added = deepcopy(items[0]) | {"id": f"si_{life.name}_{len(life.events)}", "quantity": 1}
    life.set_items([*items, _priced(added, price)])


# What is paid.


def renew(life: Life) -> None:
    if life.invoices("open"):
        return
    life.settle(life.bill())
    _begin_term(life, status="active")


def fail(life: Life) -> None:
    """Renew, but the payment fails."""
    if not life.invoices("open"):
        life.fail_payment(life.bill())
        _begin_term(life, status="past_due")


def fail_again(life: Life) -> None:
    for invoice in life.invoices("open")[:1]:
        if invoice["collection_method"] == "charge_automatically":
            life.fail_payment(invoice)


def send(life: Life) -> None:
    """Renew with an invoice that is sent, and due in a month."""
    if not life.invoices("open"):
        life.bill(collection_method="send_invoice", due_date=life.now + MONTH)
        _begin_term(life)


def fall_overdue(life: Life) -> None:
    """Let the due date of a sent invoice pass."""
    if any(invoice["due_date"] for invoice in life.invoices("open")):
        life.now += MONTH
        life.update(status="past_due")


def bill_by_hand(life: Life) -> None:
    """Bill something once, which is not paid yet."""
    life.bill(1500, billing_reason="manual")


def recover(life: Life) -> None:
    """Pay the oldest unpaid invoice; late, if the subscription has ended or it was written off."""
    for invoice in life.invoices("open", "uncollectible")[:1]:
        life.settle(invoice)
        if not life.has_ended and not life.invoices("open"):
            life.update(status="active")


def give_up(life: Life) -> None:
    """Every retry has failed."""
    if life.invoices("open"):
        life.update(status="unpaid")


def write_off(life: Life) -> None:
    for invoice in life.invoices("open")[:1]:
        life.emit("invoice.marked_uncollectible", invoice | {"status": "uncollectible"})


def void(life: Life) -> None:
    for invoice in life.invoices("open", "uncollectible")[-1:]:
        life.emit("invoice.voided", invoice | {"status": "void"})


def refund(life: Life) -> None:
    """Give back a part of the latest payment."""
    paid = [invoice for invoice in life.invoices("paid") if invoice["total"]]
    for invoice in paid[-1:]:
        refunded = made.refund(
            f"re_{life.name}_{len(life.objects)}",
            payment_intent=f"pi_{invoice['id'].removeprefix('in_')}",
            amount=300,
            created=life.now,
        )
        life.emit("refund.created", refunded)


def credit(life: Life) -> None:
    """Give back a part of the latest payment to the customer's balance, then all the rest."""
    paid = [invoice for invoice in life.invoices("paid") if invoice["total"]]
    for invoice in paid[-1:]:
        credited = sum(note["total"] for note in _notes_of(life, invoice))
        if amount := min(invoice["total"] - credited, 100 if credited == 0 else 10_000):
            id_ = f"cn_{life.name}_{len(life.objects)}"
            about = {"customer": invoice["customer"], "created": life.now}
            about |= {"total": amount, "post_payment_amount": amount}
            life.emit("credit_note.created", credit_note(id_, invoice["id"], **about))


def void_credit(life: Life) -> None:
    """Take the latest credit note back."""
    paid = [invoice for invoice in life.invoices("paid") if invoice["total"]]
    for invoice in paid[-1:]:
        for note in _notes_of(life, invoice)[-1:]:
            life.emit("credit_note.voided", note | {"status": "void"})


def _notes_of(life: Life, invoice: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the credit notes of an invoice that stand."""
    return [
        found
        for found in life.objects.values()
        if found["object"] == "credit_note"
        and found["invoice"] == invoice["id"]
        and found["status"] == "issued"
    ]


_DISPUTE = ("warning_needs_response", "needs_response", "under_review", "lost", "won")


def dispute(life: Life) -> None:
    """Dispute the latest payment, or take the dispute one step further."""
    paid = [invoice for invoice in life.invoices("paid") if invoice["total"]]
    for invoice in paid[-1:]:
        name = invoice["id"].removeprefix("in_")
        known = life.objects.get(f"du_{name}")
        if known is None:
            created = disputed(f"du_{name}", f"pi_{name}", status=_DISPUTE[0], created=life.now)
            life.emit("charge.dispute.created", created)
        elif known["status"] != _DISPUTE[-1]:
            status = _DISPUTE[_DISPUTE.index(known["status"]) + 1]
            life.emit("charge.dispute.updated", {**known, "status": status})


def _begin_term(life: Life, **more: Any) -> None:
    items = [item | ({} if life.classic else life.next_period()) for item in life.items()]
    life.set_items(items, **(life.next_period() if life.classic else {}), **more)


# Whether it goes on.


def end_at_period_end(life: Life) -> None:
    wished = {"reason": "cancellation_requested", "feedback": "unused"}
    life.update(cancel_at_period_end=True, canceled_at=life.now, cancellation_details=wished)


def keep(life: Life) -> None:
    life.update(cancel_at_period_end=False, canceled_at=None, cancellation_details=None)


def pause_collection(life: Life) -> None:
    """Stop collecting, or go on."""
    paused = life.subscription["pause_collection"]
    life.update(pause_collection=None if paused else {"behavior": "void"})


def plan_ahead(life: Life) -> None:
    """Put it under a schedule, or release that."""
    planned = life.subscription.get("schedule")
    life.update(schedule=None if planned else f"sub_sched_{life.name}")


def begin_phase(life: Life) -> None:
    """Let the schedule change the plan with a new term, and be over."""
    if life.subscription.get("schedule"):
        renew(life)
        change_plan(life)
        life.update(schedule=None)


def pause(life: Life) -> None:
    _pause(life, "pause_requested")


def pause_after_failure(life: Life) -> None:
    _pause(life, "first_payment_failure")


def _pause(life: Life, reason: str) -> None:
    paused = {"subscription": {"type": reason}, "transitioned_at": life.now}
    life.update("customer.subscription.paused", status="paused", status_details={"paused": paused})


def resume(life: Life) -> None:
    if life.subscription["status"] == "paused":
        life.update("customer.subscription.resumed", status="active", status_details=None)


def come_back(life: Life) -> None:
    """Buy again, while invoices of what has ended may still be open."""
    if life.has_ended:
        life.come_back()


def delete(life: Life) -> None:
    life.update(
        "customer.subscription.deleted",
        status="canceled",
        ended_at=life.now,
        canceled_at=life.now,
        cancellation_details={"reason": "payment_failed", "feedback": None},
    )


ALIVE: tuple[Callable[[Life], None], ...] = (
    change_plan,
    negotiate,
    charge_unknown,
    change_term,
    change_quantity,
    add_item,
    add_addon,
    remove_item,
    remove_first_item,
    renew,
    fail,
    send,
    fall_overdue,
    give_up,
    end_at_period_end,
    keep,
    pause_collection,
    plan_ahead,
    begin_phase,
    pause,
    pause_after_failure,
    resume,
    delete,
)
"""What can only happen before the end."""
ALWAYS: tuple[Callable[[Life], None], ...] = (
    fail_again,
    bill_by_hand,
    recover,
    write_off,
    void,
    refund,
    credit,
    void_credit,
    dispute,
    come_back,
)
"""What can also happen after the end: an open invoice stays payable."""
STEPS: Mapping[str, Callable[[Life], None]] = {step.__name__: step for step in (*ALIVE, *ALWAYS)}


def take_step(life: Life, name: str, wait: int) -> None:
    """Let something happen, `wait` seconds after the last."""
    life.now += wait
    step = STEPS[name]
    if step in ALWAYS or not life.has_ended:
        step(life)
