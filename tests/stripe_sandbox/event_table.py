"""The table in docs/sandbox.md of what is sent when something happens, in its order."""

import re
from collections.abc import Callable
from pathlib import Path

from stripe_sandbox.billing.checkout_completion import complete_session
from stripe_sandbox.billing.consequences import bring_about
from stripe_sandbox.billing.disputes import decide_dispute, open_dispute
from stripe_sandbox.billing.setup_intents import finish_setup
from stripe_sandbox.billing.tax_ids import verify_tax_id
from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.switch_scenes import (
    BUYER,
    MIDDLE,
    URL,
    add_customer,
    advance,
    attach,
    begin_metered,
    change,
    charge_of,
    latest,
    open_session,
    plan,
    report,
    subscribe,
    unless_refused,
)

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"
BEGIN, END = "<!-- events: make sandbox-table -->", "<!-- end of events -->"

Step = Callable[[Desk], object]
SUBSCRIPTIONS = "docs.stripe.com/billing/subscriptions/webhooks"
WARNINGS = "API reference, early fraud warnings; docs.stripe.com/disputes/measuring"
TAX_IDS = "API reference, event types; docs.stripe.com/billing/customer/tax-ids"
SETUPS = "docs.stripe.com/payments/setup-intents; API reference, event types"
METERS = "API reference, event types; docs.stripe.com/billing/subscriptions/usage-based"
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


def pay(desk: Desk, method: str) -> None:
    paid = desk.do("POST /payment_intents", keep="intent", amount=900, currency="usd",
                   confirm=True, payment_method=method, return_url=URL)  # fmt: skip
    desk.names["charge"] = paid["latest_charge"]


def suspicious(desk: Desk) -> None:
    pay(desk, "pm_card_createIssuerFraudRecord")


def report_fraud(desk: Desk) -> None:
    world = desk.world
    with world.store.transaction():
        bring_about(world, world.find("charge", desk.names["charge"]))


def reported(desk: Desk) -> None:
    suspicious(desk)
    report_fraud(desk)


def add_tax_id(desk: Desk) -> None:
    desk.do("POST /customers/{id}/tax_ids", of="ada", keep="tax_id", type="eu_vat",
            value="DE123456789")  # fmt: skip


def verify(desk: Desk) -> None:
    world = desk.world
    with world.store.transaction():
        verify_tax_id(world, world.find("tax_id", desk.names["tax_id"]))


def set_up(desk: Desk, method: str) -> None:
    """Try to set up a card; a declined one is refused."""
    unless_refused(lambda: desk.do("POST /setup_intents", keep="setup", customer="$bob",
                                   confirm=True, payment_method=method,
                                   return_url=URL))  # fmt: skip


def waiting(desk: Desk) -> None:
    set_up(desk, "pm_card_authenticationRequired")


def authenticate(desk: Desk) -> None:
    world = desk.world
    with world.store.transaction():
        finish_setup(world, world.find("setup_intent", desk.names["setup"]), succeeds=True)


def metered(desk: Desk) -> None:
    begin_metered(desk)
    report(desk)


def add_meter(desk: Desk) -> None:
    desk.do("POST /billing/meters", keep="meter", display_name="Requests", event_name="requests",
            default_aggregation={"formula": "sum"})  # fmt: skip


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
    ("an early fraud warning", suspicious, report_fraud, WARNINGS),
    ("what a warning is about is refunded", reported,
     lambda desk: desk.do("POST /refunds", payment_intent="$intent"),
     WARNINGS),
    ("a tax id is added", nothing, add_tax_id, TAX_IDS),
    ("a tax id is verified", add_tax_id, verify, TAX_IDS),
    ("a tax id is deleted", add_tax_id,
     lambda desk: desk.do("DELETE /tax_ids/{id}", of="tax_id"), TAX_IDS),
    ("a card is set up", nothing, lambda desk: set_up(desk, "pm_card_visa"), SETUPS),
    ("a card that asks for 3D Secure is set up", nothing, waiting, SETUPS),
    ("3D Secure of a set-up succeeds", waiting, authenticate, SETUPS),
    ("a card is declined at its set-up", nothing,
     lambda desk: set_up(desk, "pm_card_chargeDeclined"), SETUPS),
    ("a set-up is canceled", lambda desk: desk.do("POST /setup_intents", keep="setup"),
     lambda desk: desk.do("POST /setup_intents/{id}/cancel", of="setup"), SETUPS),
    ("a meter is made", nothing, add_meter, METERS),
    ("usage is billed at the end of its period", metered,
     lambda desk: advance(desk, START + 32 * DAY), METERS),
    ("a meter is deactivated", add_meter,
     lambda desk: desk.do("POST /billing/meters/{id}/deactivate", of="meter"), METERS),
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
