"""The table in docs/sandbox.md of what is sent when something happens, in its order."""

import re
from collections.abc import Callable
from pathlib import Path

from stripe_sandbox.billing.checkout_completion import complete_session
from stripe_sandbox.billing.disputes import decide_dispute, open_dispute
from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.switch_scenes import (
    BUYER,
    MIDDLE,
    add_customer,
    advance,
    attach,
    change,
    charge_of,
    latest,
    open_session,
    plan,
    subscribe,
)

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"
BEGIN, END = "<!-- events: make sandbox-table -->", "<!-- end of events -->"

Step = Callable[[Desk], object]
SUBSCRIPTIONS = "docs.stripe.com/billing/subscriptions/webhooks"
BILLED_NOW = {"proration_behavior": "always_invoice"}


def nothing(_: Desk) -> None:
    """What needs nothing before it."""


def buy(desk: Desk) -> None:
    session = open_session(desk, "$monthly")
    with desk.world.store.transaction():
        complete_session(desk.world, session, BUYER)


def with_bad_card(desk: Desk) -> None:
    subscribe(desk)
    change(desk, default_payment_method=attach(desk, "pm_card_chargeCustomerFail"))


def in_the_middle(desk: Desk) -> None:
    subscribe(desk)
    advance(desk, MIDDLE)


def disputed(desk: Desk) -> None:
    subscribe(desk)
    open_a_dispute(desk)


def open_a_dispute(desk: Desk) -> None:
    world = desk.world
    with world.store.transaction():
        charge = world.find("charge", charge_of(desk)["id"])
        made = open_dispute(world, charge, reason="fraudulent", status="needs_response")
    desk.names["dispute"] = made["id"]


def win(desk: Desk) -> None:
    world = desk.world
    with world.store.transaction():
        decide_dispute(world, world.find("dispute", desk.names["dispute"]), "won")


def paused(desk: Desk) -> None:
    in_the_middle(desk)
    pause(desk)


def pause(desk: Desk) -> None:
    desk.do("POST /subscriptions/{id}/pause", of="sub")


def with_account(desk: Desk) -> None:
    add_customer(desk, "cleo", "pm_usBankAccount_success")


def debited(desk: Desk) -> None:
    with_account(desk)
    subscribe(desk, "$cleo")


def planned(desk: Desk) -> None:
    subscribe(desk)
    plan(desk, {"items": [{"price": "$bigger"}]})


def billed(desk: Desk) -> None:
    subscribe(desk)
    latest(desk)


def on_trial(desk: Desk) -> None:
    subscribe(desk, "$bob", trial_period_days=10,
              trial_settings={"end_behavior": {"missing_payment_method": "pause"}})  # fmt: skip


STEPS: tuple[tuple[str, Step, Step, str], ...] = (
    ("a purchase at Checkout", nothing, buy, SUBSCRIPTIONS),
    ("a subscription by the API", nothing, subscribe, SUBSCRIPTIONS),
    ("a renewal", subscribe, lambda desk: advance(desk, START + 32 * DAY), SUBSCRIPTIONS),
    ("a renewal that is declined, its retries, the end", with_bad_card,
     lambda desk: advance(desk, START + 50 * DAY),
     "docs.stripe.com/billing/revenue-recovery/smart-retries"),
    ("an upgrade that is billed at once", in_the_middle,
     lambda desk: change(desk, items=[{"id": "$item", "price": "$bigger"}], **BILLED_NOW),
     "docs.stripe.com/billing/subscriptions/prorations"),
    ("a trial that ends without a card: paused", on_trial,
     lambda desk: advance(desk, START + 11 * DAY),
     "docs.stripe.com/billing/subscriptions/trials"),
    ("an end at the end of the period is set", subscribe,
     lambda desk: change(desk, cancel_at_period_end=True),
     "docs.stripe.com/billing/subscriptions/cancel"),
    ("a cancellation at once", subscribe, lambda desk: desk.do("DELETE /subscriptions/{id}",
                                                              of="sub"),
     "docs.stripe.com/billing/subscriptions/cancel"),
    ("a pause", in_the_middle, pause, "docs.stripe.com/billing/subscriptions/pause"),
    ("a pause ends", paused, lambda desk: desk.do("POST /subscriptions/{id}/resume", of="sub"),
     "docs.stripe.com/billing/subscriptions/pause"),
    ("a phase of a schedule begins", planned, lambda desk: advance(desk, START + 31 * DAY),
     "docs.stripe.com/billing/subscriptions/subscription-schedules"),
    ("a bank debit is ordered", with_account, lambda desk: subscribe(desk, "$cleo"),
     "docs.stripe.com/payments/ach-direct-debit"),
    ("a bank debit succeeds", debited, lambda desk: advance(desk, START + 5 * DAY),
     "docs.stripe.com/payments/ach-direct-debit"),
    ("a refund", subscribe,
     lambda desk: desk.do("POST /refunds", charge=charge_of(desk)["id"], amount=300),
     "docs.stripe.com/refunds"),
    ("a credit note to the balance", billed,
     lambda desk: desk.do("POST /credit_notes", invoice="$invoice", amount=100, credit_amount=100),
     "docs.stripe.com/invoicing/integration/programmatically-issue-credit-notes"),
    ("a dispute", subscribe, open_a_dispute, "docs.stripe.com/disputes/api"),
    ("a dispute is won", disputed, win, "docs.stripe.com/disputes/api"),
)  # fmt: skip
"""What happens, after what, and the page of Stripe's that names its events."""


def sent_by(desk: Desk, before: Step, step: Step) -> list[str]:
    """Return the types of the events that a step sends; those of a clock are left out."""
    before(desk)
    known = desk.world.store.count("event")
    step(desk)
    types = [event["type"] for event in desk.world.store.all("event")][known:]
    return [one for one in types if not one.startswith("test_helpers.")]


def render(make_desk: Callable[[], Desk]) -> str:
    rows = ["| what happens | events | source |", "|---|---|---|"]
    for name, before, step, source in STEPS:
        events = ", ".join(sent_by(make_desk(), before, step))
        rows.append(f"| {name} | {events} | {source} |")
    return "\n".join(rows)


def written() -> str:
    """Return the table in the page."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip()


def write(table: str) -> None:
    """Put the table into the page."""
    pattern = f"{re.escape(BEGIN)}.*?{re.escape(END)}"
    text = re.sub(pattern, lambda _: f"{BEGIN}\n{table}\n{END}", PAGE.read_text(), flags=re.DOTALL)
    PAGE.write_text(text)
