"""What happens when a phase of a subscription schedule begins or ends."""

from stripe_sandbox.billing.amounts import amount_of
from stripe_sandbox.billing.changes import change_items, extend_trial, invoice_now
from stripe_sandbox.billing.currencies import priced_in
from stripe_sandbox.billing.discounts import replace_discounts
from stripe_sandbox.billing.dunning import attempt_payment
from stripe_sandbox.billing.invoices import finalize_invoice
from stripe_sandbox.billing.later import drop_task, plan_task
from stripe_sandbox.billing.lines import NewInvoiceItem, add_invoice_item, describe_price
from stripe_sandbox.billing.periods import DAY, Period, earliest_end, restart_period
from stripe_sandbox.billing.phase_settings import SETTINGS, apply_settings, setting_of
from stripe_sandbox.billing.subscription_bills import (
    bill_subscription,
    term_lines,
)
from stripe_sandbox.billing.subscription_schedules import (
    KIND,
    OPEN,
    bare_phases,
    begin_phase,
    complete,
    next_phase,
    release,
    schedule_due,
    set_end,
)
from stripe_sandbox.billing.subscriptions import (
    NewSubscription,
    PricedItem,
    cancel_subscription,
    create_subscription,
    mark,
    set_status,
)
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

EXPIRY_NOTICE = 7 * DAY
EXPIRES = "announce_expiry"


def advance_schedule(world: World, schedule: Document) -> None:
    """Start, or begin the next phase; after the last one, cancel the subscription or release it."""
    if schedule["status"] == "not_started":
        start_schedule(world, schedule)
        return
    if schedule_due(world, schedule) is None:
        return
    phase = next_phase(schedule)
    if phase is None and schedule["end_behavior"] == "cancel":
        cancel_subscription(world, world.find("subscription", schedule["subscription"]))
        return
    if phase is None and world.choices.schedule_end == "completed":
        complete(world, schedule)
        return
    if phase is None:
        release(world, schedule, keeps_end=True)
        return
    _enter(world, schedule, phase, proration=phase["proration_behavior"])
    begin_phase(world, schedule, phase)


def _enter(world: World, schedule: ReadOnly, phase: ReadOnly, *, proration: str) -> None:
    """Change the subscription to what a phase says, and invoice it if that is due at once."""
    subscription = world.find("subscription", schedule["subscription"])
    now, paused = world.time_of(subscription), subscription["status"] == "paused"
    apply_settings(world, subscription, schedule, phase)
    _apply_discounts(world, subscription, schedule, phase)
    _add_charges(world, subscription, phase)
    if phase["trial_end"] is not None and phase["trial_end"] > now:
        extend_trial(subscription, phase["trial_end"], now)
    changes = _changes(world, subscription, phase)
    proration = "none" if paused else proration
    bills_now, new_period = change_items(world, subscription, changes, proration=proration, at=now)
    if phase["billing_cycle_anchor"] == "phase_start" and not new_period:
        restart_period(subscription, now)
        bills_now = new_period = True
    world.change(subscription)
    if paused:
        return
    if bills_now and new_period and world.choices.phase_invoice == "draft":
        lines = term_lines(world, subscription, subscription["items"]["data"])
        bill_subscription(world, subscription, lines, reason="subscription_cycle")
        world.save(subscription)
        return
    charges = phase["add_invoice_items"] and world.choices.phase_charges == "own"
    if bills_now or charges:
        invoice_now(world, subscription, new_period=new_period, strict=False)


def _apply_discounts(
    world: World, subscription: Document, schedule: ReadOnly, phase: ReadOnly
) -> None:
    """Give the subscription the phase's discounts; without any it has its customer's.

    A phase whose discounts were emptied has none at all.
    """
    bare = phase["start_date"] in bare_phases(world, schedule["id"])
    mark(world, subscription["id"], inherits_discounts=not bare)
    replace_discounts(world, subscription, subscription, _given(phase["discounts"]))


def _given(discounts: list[ReadOnly]) -> list[ReadOnly]:
    return [{name: one for name, one in given.items() if one} for given in discounts]


def change_current_phase(world: World, schedule: Document, known: ReadOnly, proration: str) -> None:
    """Apply what has changed in the current phase to the subscription at once."""
    start = schedule["current_phase"]["start_date"]
    phase = next(one for one in schedule["phases"] if one["start_date"] == start)
    told = (
        "items",
        "default_payment_method",
        "default_tax_rates",
        "description",
        "discounts",
        "metadata",
    )
    changed = any(phase[name] != known[name] for name in told)
    changed |= any(setting_of(schedule, phase, name) != known[name] for name in SETTINGS)
    if changed:
        once: Document = {"add_invoice_items": [], "billing_cycle_anchor": None, "trial_end": None}
        kept = {**phase, **once}
        _enter(world, schedule, kept, proration=proration)


def advance_due_schedule(world: World, subscription: ReadOnly) -> None:
    """Begin the phase that is due, before the subscription's next term is billed."""
    if subscription["schedule"] is None:
        return
    schedule = world.find(KIND, subscription["schedule"])
    due = schedule_due(world, schedule)
    if due is not None and due <= world.time_of(schedule):
        advance_schedule(world, schedule)


def _changes(
    world: World, subscription: ReadOnly, phase: ReadOnly
) -> list[tuple[ReadOnly, ReadOnly | None]]:
    """Return the (param, price) pairs of an update: items change in place as far as there are."""
    items, wanted = subscription["items"]["data"], phase["items"]
    changes: list[tuple[ReadOnly, ReadOnly | None]] = []
    for position, item in enumerate(wanted):
        found = world.find("price", item["price"])
        price = priced_in(world, found, subscription["currency"], "items[price]")
        place = {"id": items[position]["id"]} if position < len(items) else {}
        told = {name: item[name] for name in ("metadata", "quantity", "tax_rates")}
        changes.append(({**place, **told, "discounts": _given(item["discounts"])}, price))
    surplus = items[len(wanted) :]
    return [*changes, *(({"id": item["id"], "deleted": True}, None) for item in surplus)]


def start_schedule(world: World, schedule: Document) -> Document:
    """Make the subscription of a schedule; its first invoice is a draft for an hour."""
    phase = schedule["phases"][0]
    customer = world.find("customer", schedule["customer"])
    items = [_priced(world, item) for item in phase["items"]]
    new = NewSubscription(
        customer=customer,
        items=items,
        metadata=phase["metadata"],
        billing_mode=schedule["billing_mode"]["type"],
        trial_end=phase["trial_end"],
    )
    trials = phase["trial_end"] is not None
    subscription = create_subscription(world, new, "trialing" if trials else "active")
    _apply_discounts(world, subscription, schedule, phase)
    apply_settings(world, subscription, schedule, phase)
    for item, told in zip(subscription["items"]["data"], phase["items"], strict=True):
        replace_discounts(world, subscription, item, _given(told["discounts"]), "items")
        item["tax_rates"] = told["tax_rates"]
    subscription["schedule"] = schedule["id"]
    set_end(world, subscription, schedule)
    _add_charges(world, subscription, phase)
    lines = term_lines(world, subscription, subscription["items"]["data"], is_trial=trials)
    draft = bill_subscription(world, subscription, lines, reason="subscription_create")
    at_once = world.choices.schedule_first_invoice == "finalized"
    invoice = finalize_invoice(world, draft) if at_once else draft
    if invoice["status"] == "open":
        set_status(subscription, "incomplete")
    world.announce("customer.subscription.created", world.save(subscription))
    if invoice["status"] == "open":
        attempt_payment(world, invoice)
    schedule |= {"status": "active", "subscription": subscription["id"]}
    begin_phase(world, schedule, phase)
    return world.find(KIND, schedule["id"])


def _add_charges(world: World, subscription: ReadOnly, phase: ReadOnly) -> None:
    """Add what the phase charges once to the subscription's next invoice."""
    customer = world.find("customer", subscription["customer"])
    now, end = world.time_of(subscription), earliest_end(subscription)
    for told in phase["add_invoice_items"]:
        found = world.find("price", told["price"])
        price = priced_in(world, found, subscription["currency"], "add_invoice_items")
        charge = NewInvoiceItem(
            amount=amount_of(price, told["quantity"]),
            currency=subscription["currency"],
            description=describe_price(world, price),
            period=Period(now, max(now, end)),
            price=price,
            quantity=told["quantity"],
            metadata=told["metadata"],
            subscription=subscription["id"],
        )
        world.announce("invoiceitem.created", add_invoice_item(world, customer, charge))


def _priced(world: World, item: ReadOnly) -> PricedItem:
    return PricedItem(world.find("price", item["price"]), item["quantity"], item["metadata"])


def plan_expiry(world: World, schedule: ReadOnly) -> None:
    """Plan `subscription_schedule.expiring`, seven days before the last phase ends."""
    clock = schedule["test_clock"]
    left = schedule["phases"][-1]["end_date"] - EXPIRY_NOTICE - world.now(clock)
    if left > 0:
        plan_task(world, EXPIRES, schedule, left, clock=clock)
    else:
        drop_task(world, EXPIRES, schedule["id"])


def announce_expiry(world: World, schedule: Document) -> None:
    """Announce that a schedule ends soon."""
    if schedule["status"] in OPEN:
        world.announce(f"{KIND}.expiring", schedule)
