"""The unconfirmed rows of docs/sandbox.md that a test account can answer, each with its answer.

A question returns None if the account does as the sandbox assumes, otherwise what it does.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import stripe

from tests.contract.account import DAY, PREFIX, Account

Answer = str | None
QUESTIONS: dict[str, Callable[[Account], Awaitable[Answer]]] = {}
"""By the first words of the row."""


def asks(row: str) -> Callable[[Callable[[Account], Awaitable[Answer]]], None]:
    """Register a question under the row that it asks about."""

    def add(question: Callable[[Account], Awaitable[Answer]]) -> None:
        QUESTIONS[row] = question

    return add


def unless(holds: bool, seen: object) -> Answer:
    return None if holds else str(seen)


async def refusal(call: Awaitable[Any]) -> stripe.StripeError | None:
    try:
        await call
    except stripe.StripeError as error:
        return error
    return None


async def _end_trial(account: Account, behavior: str) -> Any:
    person = await account.person(card=None)
    settings = {"end_behavior": {"missing_payment_method": behavior}}
    made = await person.subscribe(trial_period_days=10, trial_settings=settings)
    return await account.v1.subscriptions.update_async(made.id, {"trial_end": "now"})


@asks("`trial_end=now` without a payment method, `missing_payment_method=pause`")
async def _(account: Account) -> Answer:
    ended = await _end_trial(account, "pause")
    return unless(ended.status == "paused", ended.status)


@asks("the same with `cancel`")
async def _(account: Account) -> Answer:
    ended = await _end_trial(account, "cancel")
    return unless(ended.status == "canceled", ended.status)


@asks("dates of events on a test clock")
async def _(account: Account) -> Answer:
    person = await account.person()
    await person.subscribe()
    await person.step(40)
    [event, *_] = await person.events("invoice.created")
    return unless(event.created < person.now - 10 * DAY, f"dated {event.created}")


@asks("`invoice.upcoming`")
async def _(account: Account) -> Answer:
    person = await account.person()
    await person.subscribe()
    await person.step(28)
    [event, *_] = await person.events("invoice.upcoming")
    invoice_id = getattr(event.data.object, "id", None)
    return unless(str(invoice_id).startswith("upcoming_in"), f"its id is {invoice_id}")


@asks("`cancel_at_period_end` after an immediate cancellation")
async def _(account: Account) -> Answer:
    made = await (await account.person()).subscribe(cancel_at_period_end=True)
    ended = await account.v1.subscriptions.cancel_async(made.id)
    return unless(ended.cancel_at_period_end, "it is false")


@asks("a discount of a subscription or an item that takes another one's place")
async def _(account: Account) -> Answer:
    person = await account.person()
    one, other = [await account.coupon(percent_off=n, duration="forever") for n in (10, 20)]
    made = await person.subscribe(discounts=[{"coupon": one}])
    await account.v1.subscriptions.update_async(made.id, {"discounts": [{"coupon": other}]})
    updated = await person.events("customer.discount.updated")
    return unless(bool(updated), "no customer.discount.updated")


@asks("a `once` coupon that is used up")
async def _(account: Account) -> Answer:
    person = await account.person()
    await person.subscribe(discounts=[{"coupon": await account.coupon(percent_off=10)}])
    gone = await person.events("customer.discount.deleted")
    return unless(bool(gone), "no customer.discount.deleted")


@asks("`invoice_credit_balance` of a customer")
async def _(account: Account) -> Answer:
    person = await account.person()
    await account.v1.customers.balance_transactions.create_async(
        person.id, {"amount": -500, "currency": "usd"}
    )
    found = await account.v1.customers.retrieve_async(
        person.id, {"expand": ["invoice_credit_balance"]}
    )
    balance = found.invoice_credit_balance
    return unless(balance["usd"] == 500, balance)


async def _checkout(account: Account, *lines: str) -> stripe.StripeError | None:
    listed = [{"price": account.prices[name], "quantity": 1} for name in lines]
    order = {"mode": "subscription", "success_url": "https://shop.example/", "line_items": listed}
    return await refusal(account.v1.checkout.sessions.create_async(order))


@asks("Checkout below the minimum charge, mode subscription")
async def _(account: Account) -> Answer:
    refused = await _checkout(account, "tiny")
    return unless(refused is not None and refused.code == "amount_too_small", refused)


@asks("the same recurring price twice in Checkout")
async def _(account: Account) -> Answer:
    refused = await _checkout(account, "monthly", "monthly")
    return unless(refused is not None, "accepted")


@asks("codes and sentences of refused promotion codes (customer, minimum, expiry)")
async def _(account: Account) -> Answer:
    owner, other = await account.person(), await account.person()
    promotion = {"type": "coupon", "coupon": await account.coupon(percent_off=10)}
    code = await account.v1.promotion_codes.create_async(
        {"promotion": promotion, "customer": owner.id}
    )
    refused = await refusal(other.subscribe(discounts=[{"promotion_code": code.id}]))
    return unless(refused is not None and refused.code is None, refused)


@asks("a coupon with `amount_off` in another currency: code and param of the refusal")
async def _(account: Account) -> Answer:
    coupon = await account.coupon(amount_off=100, currency="eur")
    refused = await refusal((await account.person()).subscribe(discounts=[{"coupon": coupon}]))
    return unless(refused is not None and refused.http_status == 400, refused or "accepted")


@asks("`currency_options` of a coupon, and of a promotion code's restrictions")
async def _(account: Account) -> Answer:
    coupon = await account.coupon(amount_off=100, currency="eur")
    made = await account.v1.promotion_codes.create_async(
        {
            "promotion": {"type": "coupon", "coupon": coupon},
            "restrictions": {"minimum_amount": 1000, "minimum_amount_currency": "eur"},
        }
    )
    paths = ["promotion.coupon.currency_options", "restrictions.currency_options"]
    shown = await account.v1.promotion_codes.retrieve_async(made.id, {"expand": paths})
    plain, full = made.to_dict()["restrictions"], shown.to_dict()["restrictions"]
    return unless("currency_options" in full and "currency_options" not in plain, [plain, full])


@asks("items of a subscription with a schedule, changed directly")
async def _(account: Account) -> Answer:
    made = await (await account.person()).subscribe()
    schedules = account.v1.subscription_schedules
    await schedules.create_async({"from_subscription": made.id})
    item = made["items"].data[0].id
    changed = account.v1.subscription_items.update_async(item, {"price": account.prices["bigger"]})
    refused = await refusal(changed)
    return unless(refused is None, refused)


@asks("a schedule whose last phase ends")
async def _(account: Account) -> Answer:
    person = await account.person()
    phase = {"items": [{"price": account.prices["monthly"]}], "duration": {"interval": "month"}}
    made = await account.v1.subscription_schedules.create_async(
        {"customer": person.id, "start_date": "now", "phases": [phase]}
    )
    await person.step(35)
    ended = await account.v1.subscription_schedules.retrieve_async(made.id)
    return unless(ended.status == "released", ended.status)


@asks("a subscription that ends before its schedule")
async def _(account: Account) -> Answer:
    made = await (await account.person()).subscribe()
    schedule = await account.v1.subscription_schedules.create_async({"from_subscription": made.id})
    ended = await account.v1.subscriptions.cancel_async(made.id)
    status = (await account.v1.subscription_schedules.retrieve_async(schedule.id)).status
    holds = status == "canceled" and ended.schedule == schedule.id
    return unless(holds, f"{status}, the subscription names {ended.schedule}")


@asks("`data` counts as a level of `expand`")
async def _(account: Account) -> Answer:
    path = "data.latest_invoice.payments.data.payment.payment_intent"
    refused = await refusal(account.v1.subscriptions.list_async({"expand": [path]}))
    return unless(refused is not None, "accepted")


@asks("a new subscription with a later `billing_cycle_anchor` and `proration_behavior=none`")
async def _(account: Account) -> Answer:
    person = await account.person()
    made = await person.subscribe(
        billing_cycle_anchor=person.now + 10 * DAY, proration_behavior="none"
    )
    return unless(made.latest_invoice is None, made.latest_invoice)


@asks("a trial without a payment method, created by the API")
async def _(account: Account) -> Answer:
    made = await (await account.person(card=None)).subscribe(trial_period_days=5)
    return unless(made.pending_setup_intent is not None, "it has none")


@asks("a detached payment method that was a default")
async def _(account: Account) -> Answer:
    person = await account.person()
    card = await person.use("pm_card_mastercard")
    await account.v1.payment_methods.detach_async(card)
    customer = await account.v1.customers.retrieve_async(person.id)
    kept = customer.invoice_settings.default_payment_method
    return unless(kept is None, f"it goes on naming {kept}")


@asks("a credit note with `amount` alone, of an invoice without automatic tax")
async def _(account: Account) -> Answer:
    made = await (await account.person()).subscribe()
    note = await account.v1.credit_notes.create_async(
        {"invoice": made.latest_invoice, "amount": 100, "credit_amount": 100}
    )
    kinds = [line.type for line in note.lines.data]
    return unless(kinds == ["custom_line_item"], kinds)


@asks("a credit note of more than is left, or of a draft: sentences")
async def _(account: Account) -> Answer:
    made = await (await account.person()).subscribe()
    note = {"invoice": made.latest_invoice, "amount": 99_999, "credit_amount": 99_999}
    refused = await refusal(account.v1.credit_notes.create_async(note))
    said = str(refused)
    return unless("greater than what can be credited" in said, said)


@asks("the first invoice of a `send_invoice` subscription")
async def _(account: Account) -> Answer:
    made = await (await account.person()).subscribe(
        collection_method="send_invoice", days_until_due=10
    )
    invoice = await account.v1.invoices.retrieve_async(made.latest_invoice)
    return unless(invoice.status == "draft", invoice.status)


@asks("the first invoice of a schedule's subscription")
async def _(account: Account) -> Answer:
    person = await account.person()
    phase = {"items": [{"price": account.prices["monthly"]}], "duration": {"interval": "month"}}
    made = await account.v1.subscription_schedules.create_async(
        {"customer": person.id, "start_date": "now", "phases": [phase]}
    )
    subscription = await account.v1.subscriptions.retrieve_async(
        made.subscription, {"expand": ["latest_invoice"]}
    )
    seen = f"{subscription.status}, {subscription.latest_invoice.status}"
    return unless(seen == "active, draft", seen)


@asks("a negative invoice, credited to the customer")
async def _(account: Account) -> Answer:
    person = await account.person()
    made = await person.subscribe("bigger")
    item = {"id": made["items"].data[0].id, "price": account.prices["monthly"]}
    await person.step(5)
    await account.v1.subscriptions.update_async(
        made.id, {"items": [item], "proration_behavior": "always_invoice"}
    )
    found = await account.v1.customers.balance_transactions.list_async(person.id)
    kinds = [one.type for one in found.data]
    return unless(kinds == ["applied_to_invoice"], kinds)


@asks("`charge.succeeded` of an invoice")
async def _(account: Account) -> Answer:
    person = await account.person()
    await person.subscribe()
    [event, *_] = await person.events("charge.succeeded")
    return unless(event.data.object.balance_transaction is not None, "null")


@asks("how soon an event is in the list `/v1/events`")
async def _(account: Account) -> Answer:
    person = await account.person()
    page = await account.v1.events.list_async({"type": "customer.created", "limit": 50})
    found = [one for one in page.data if one.data.object.id == person.id]
    return unless(bool(found), "not at once")


@asks("`backdate_start_date` without an anchor")
async def _(account: Account) -> Answer:
    person = await account.person()
    made = await person.subscribe(backdate_start_date=person.now - 40 * DAY)
    began = made["items"].data[0].current_period_start
    before = (made.created - began) // DAY
    return unless(not before, f"a period that began {before} days before")


@asks("an attached payment that pays the rest of an invoice")
async def _(account: Account) -> Answer:
    person = await account.person()
    made = await person.subscribe(payment_behavior="default_incomplete")
    method = {"payment_method": "pm_card_visa", "confirm": True, "off_session": True}
    intent = await account.v1.payment_intents.create_async(
        {"amount": 1000, "currency": "usd", "customer": person.id, **method}
    )
    invoice = {"payment_intent": intent.id}
    await account.v1.invoices.attach_payment_async(made.latest_invoice, invoice)
    listed = await account.v1.invoice_payments.list_async({"invoice": made.latest_invoice})
    statuses = [one.status for one in listed.data if one.is_default]
    return unless(statuses == ["canceled"], statuses)


@asks("amount, price and quantity of a line of a subscription on a draft, and its removal")
async def _(account: Account) -> Answer:
    person = await account.person()
    await person.subscribe(collection_method="send_invoice", days_until_due=10)
    [draft] = (await account.v1.invoices.list_async({"customer": person.id})).data
    line = draft.lines.data[0].id
    change = account.v1.invoices.line_items.update_async(draft.id, line, {"amount": 700})
    return unless(await refusal(change) is not None, "the amount is changed")


@asks("a bad meter event")
async def _(account: Account) -> Answer:
    payload = {"stripe_customer_id": (await account.person()).id, "value": "1"}
    event = {"event_name": f"{PREFIX}-nobody-counts-this", "payload": payload}
    refused = await refusal(account.v1.billing.meter_events.create_async(event))
    return unless(refused is not None, "accepted")


@asks("a phase that begins while its subscription is paused")
async def _(account: Account) -> Answer:
    person = await account.person()
    made = await person.subscribe()
    schedules = account.v1.subscription_schedules
    plan = await schedules.create_async({"from_subscription": made.id})
    now, bigger = plan.phases[0], {"items": [{"price": account.prices["bigger"]}]}
    span = {"start_date": now.start_date, "end_date": now.end_date}
    pause = {"pause_at": {"type": "timestamp", "timestamp": now.end_date - 5 * DAY}}
    phases = [
        {"items": [{"price": account.prices["monthly"]}], **span},
        {**bigger, "duration": {"interval": "month"}},
    ]
    await schedules.update_async(plan.id, {"phases": phases, "pause_schedules": [{"pause": pause}]})
    await person.step(33)
    seen = await account.v1.subscriptions.retrieve_async(made.id)
    price = seen["items"].data[0].price.id
    return unless(price == account.prices["bigger"], "it has not begun")
