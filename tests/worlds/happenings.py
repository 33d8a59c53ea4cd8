"""What can happen in a world: at Stripe, at the hosting service, in mPanel, and by operators.

Each happening takes a number that chooses among the subscriptions, prices, ... there are; one that
does not apply does nothing. Nothing here knows what `billing_trouble` should say of it.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import stripe

from mpanel_billing.errors import ConflictError, NotFoundError, PaymentFailedError, StripeError
from mpanel_billing.provisioning import leniency, operations
from mpanel_billing.reconciliation import deleted
from mpanel_billing.subscriptions.drafts import collect_draft
from tests.provisioning.mirror_model import TYPES
from tests.worlds.town import BY, KEY, Town, prices_by_key

GOOD, FAILING = "pm_card_visa", "pm_card_chargeCustomerFail"
PLANS = ("starter", "premium", "storage-personal")
ADDONS = ("addon-backups-daily", "addon-storage-100gb")
LEAPS = (240, 1500, 90_000, 3.2 * 86_400, 8 * 86_400, 31.5 * 86_400)
"""Seconds: minutes, hours, past a retry, past grace, past a term or retention."""

Happening = Callable[[Town, int], Awaitable[None]]


def _chosen(town: Town, number: int) -> str | None:
    return town.sold[number % len(town.sold)] if town.sold else None


async def find_living(town: Town, number: int) -> Any:
    """Return a subscription at Stripe that has not ended; None if there is none."""
    chosen = _chosen(town, number)
    if chosen is None:
        return None
    found = await town.api.subscriptions.retrieve_async(chosen)
    return None if found.ended_at else found


async def _invoices(town: Town, number: int, *statuses: str) -> list[dict[str, Any]]:
    """Return a subscription's invoices in these statuses, the newest first."""
    chosen = _chosen(town, number)
    if chosen is None:
        return []
    found = await town.get_from_stripe("invoices", subscription=chosen)
    return [invoice for invoice in found if invoice["status"] in statuses]


async def _price(town: Town, key: str) -> str:
    return prices_by_key(await town.get_from_stripe("prices", active="true"))[key]


async def _other_price(town: Town, product: str | None) -> str:
    """Make a price that the catalogue does not have, of a product that it has, or of another."""
    if product is None:
        product = (await town.api.products.create_async({"name": "Consulting"})).id
    recurring: Any = {"interval": "month"}
    made = await town.api.prices.create_async(
        {"product": product, "currency": "usd", "unit_amount": 555, "recurring": recurring}
    )
    return str(made.id)


# What is sold.


async def sell(town: Town, number: int) -> None:
    """Sell a plan in Stripe's Dashboard; every third at a negotiated price."""
    plan = PLANS[number % len(PLANS)]
    price = await (
        _other_price(town, f"mpanel_{plan}")
        if number % 3 == 1
        else _price(town, f"{plan}_monthly_usd")
    )
    customer = await create_customer(town, GOOD)
    made = await town.api.subscriptions.create_async(
        {"customer": customer, "items": [{"price": price, "quantity": 1 + number % 2}]}
    )
    await note_sale(town, made.id)


async def give_trial(town: Town, number: int) -> None:
    """Give a trial, half of them without a card: to a new customer, or to one who has had one."""
    before = await find_living(town, number) if number % 3 else None
    customer = (
        before.customer if before else await create_customer(town, GOOD if number % 2 else None)
    )
    settings: Any = {"end_behavior": {"missing_payment_method": "pause"}}
    price = await _price(town, f"{PLANS[number % 2]}_monthly_usd")
    made = await town.api.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": price}],
            "trial_period_days": 14,
            "trial_settings": settings,
        }
    )
    await note_sale(town, made.id)


async def order(town: Town, number: int) -> None:
    """Let a new buyer order in the shop, for one of two domains."""
    domain = f"shop{number % 2}.org"
    body = {
        "planId": "starter",
        "billingCycle": "monthly",
        "trialActive": False,
        "addonIds": [],
        "customer": {"name": "Ada", "email": f"ada{len(town.sold)}@example.com"},
        "domain": {"mode": "existing", "value": domain},
    }
    async with town.client.post("/api/checkout/create-session", json=body) as response:
        answer = await response.json()
        if answer.get("code") == "domain_taken":
            return
        assert response.status == 200, answer
    assert (await town.stripe.pay(answer["url"])).status == 303
    session = await town.api.checkout.sessions.retrieve_async(answer["sessionId"])
    town.commands.domains[session.subscription] = domain
    await note_sale(town, session.subscription)


async def create_customer(town: Town, card: str | None) -> str:
    """Make a customer at Stripe, with a card or without."""
    made = await town.api.customers.create_async(
        {"name": "Ada", "email": f"a{len(town.sold)}@b.test"}
    )
    if card is not None:
        await _give_card(town, made.id, card)
    return str(made.id)


async def _give_card(town: Town, customer: str, card: str) -> None:
    method = await town.api.payment_methods.attach_async(card, {"customer": customer})
    await town.api.customers.update_async(
        customer, {"invoice_settings": {"default_payment_method": method.id}}
    )


async def note_sale(town: Town, subscription: str) -> None:
    """Note that it was sold, and at which prices."""
    town.sold.append(subscription)
    held = await town.api.subscriptions.retrieve_async(subscription)
    town.commands.chosen |= {(subscription, item.price.id) for item in held["items"].data}
    await town.settle()


# What is changed at Stripe.


async def add_item(town: Town, number: int) -> None:
    """Add an add-on, more of it, or an item that the catalogue does not know."""
    if held := await find_living(town, number):
        price = (
            await _other_price(town, None)
            if number % 3 == 0
            else await _price(town, f"{ADDONS[number % 2]}_monthly_usd")
        )
        items: Any = [{"price": price, "quantity": 1 + number % 3}]
        await _update(town, held.id, items=items)


async def remove_item(town: Town, number: int) -> None:
    if held := await find_living(town, number):
        items = held["items"].data
        if len(items) > 1:
            await _update(town, held.id, items=[{"id": items[-1].id, "deleted": True}])


async def change_first_item(town: Town, number: int) -> None:
    """Give the first item another plan, another quantity or a negotiated price."""
    if held := await find_living(town, number):
        item = held["items"].data[0]
        prices = (
            lambda: _price(town, "premium_monthly_usd"),
            lambda: _other_price(town, item.price.product),
            lambda: _other_price(town, None),
        )
        change = {"id": item.id, "quantity": number % 3, "price": await prices[number % 3]()}
        await _update(town, held.id, items=[change])


async def _update(town: Town, subscription: str, **changes: Any) -> None:
    with suppress(stripe.InvalidRequestError, stripe.CardError):  # as the Dashboard would show it
        await town.api.subscriptions.update_async(subscription, changes)


async def pause_or_resume_collection(town: Town, number: int) -> None:
    if held := await find_living(town, number):
        behaviors = ("keep_as_draft", "void", "mark_uncollectible")
        paused: Any = "" if held.pause_collection else {"behavior": behaviors[number % 3]}
        await _update(town, held.id, pause_collection=paused)


async def cancel(town: Town, number: int) -> None:
    """Cancel now, every third at the end of the period."""
    if held := await find_living(town, number):
        if number % 3 == 2:
            await _update(town, held.id, cancel_at_period_end=True)
        else:
            await town.api.subscriptions.cancel_async(held.id)


async def schedule_or_release(town: Town, number: int) -> None:
    held = await find_living(town, number)
    schedules = town.api.subscription_schedules
    if held and held.schedule:
        await schedules.release_async(held.schedule)
    elif held and held.status != "incomplete":
        await schedules.create_async({"from_subscription": held.id})


# Money.


async def change_card(town: Town, number: int) -> None:
    """Let the customer's card fail from now on, or work again."""
    if chosen := _chosen(town, number):
        held = await town.api.subscriptions.retrieve_async(chosen)
        await _give_card(town, held.customer, GOOD if number % 3 == 0 else FAILING)


async def pay(town: Town, number: int) -> None:
    """Pay the oldest or the newest open invoice, also after the end."""
    if found := await _invoices(town, number, "open", "uncollectible"):
        invoice = found[-1] if number % 2 else found[0]
        with suppress(stripe.CardError):
            await town.api.invoices.pay_async(invoice["id"], {"paid_out_of_band": True})


async def pay_by_card(town: Town, number: int) -> None:
    """Pay the newest open invoice with a card that works, also after the end."""
    if found := await _invoices(town, number, "open"):
        await _give_card(town, found[0]["customer"], GOOD)
        with suppress(stripe.CardError):
            await town.api.invoices.pay_async(found[0]["id"])


async def write_off(town: Town, number: int) -> None:
    """Mark the oldest open invoice uncollectible, or void it."""
    if found := await _invoices(town, number, "open"):
        how = town.api.invoices.void_invoice_async
        if number % 2:
            how = town.api.invoices.mark_uncollectible_async
        await how(found[-1]["id"])


async def refund(town: Town, number: int) -> None:
    """Refund the latest payment of an invoice in full."""
    if found := await _invoices(town, number, "paid"):
        payments = await town.get_from_stripe("invoice_payments", invoice=found[0]["id"])
        for payment in payments:
            if intent := payment["payment"].get("payment_intent"):
                with suppress(stripe.InvalidRequestError):
                    await town.api.refunds.create_async({"payment_intent": intent})


async def dispute(town: Town, number: int) -> None:
    """Let a bank dispute the latest payment of an invoice: decided, answered, or neither."""
    found = await _invoices(town, number, "paid")
    payments = (
        await town.get_from_stripe("invoice_payments", invoice=found[0]["id"]) if found else []
    )
    intents = [one["payment"].get("payment_intent") for one in payments]
    if not any(intents):
        return
    charges = await town.get_from_stripe("charges", payment_intent=next(filter(None, intents)))
    paid = [one for one in charges if one["status"] == "succeeded" and not one["disputed"]]
    if not paid or paid[0]["refunded"]:
        return
    disputed = await town.stripe.dispute(paid[0]["id"])
    if number % 3 == 1:
        await town.stripe.decide_dispute(disputed, "lost" if number % 2 else "won")
    elif number % 3 == 2:
        await town.api.disputes.update_async(
            disputed, {"evidence": {"product_description": "hosting"}, "submit": True}
        )


async def bill_by_hand(town: Town, number: int) -> None:
    """Make a one-off invoice for a subscription's customer; every other stays a draft."""
    if held := await find_living(town, number):
        api = town.api
        await api.invoice_items.create_async(
            {"customer": held.customer, "amount": 500, "currency": "usd"}
        )
        made = await api.invoices.create_async(
            {"customer": held.customer, "pending_invoice_items_behavior": "include"}
        )
        if number % 2:
            await api.invoices.finalize_invoice_async(made.id, {"auto_advance": False})


async def delete_draft(town: Town, number: int) -> None:
    if found := await _invoices(town, number, "draft"):
        await town.api.invoices.delete_async(found[0]["id"])


async def collect(town: Town, number: int) -> None:
    """Let an operator collect the latest draft."""
    chosen = _chosen(town, number)
    if chosen in town.ids and chosen not in town.commands.deleted:
        with suppress(ConflictError, PaymentFailedError, NotFoundError, StripeError):
            await collect_draft(town.mirror, town.ids[chosen], BY)


# What happens at the hosting service.


async def abuse(town: Town, number: int) -> None:
    """Let the service suspend an account by itself, or end that."""
    accounts = town.hosting.world.accounts
    if accounts:
        account = accounts[number % len(accounts)]
        if account.abuse:
            account.clear("active")
        elif account.actual == "active":
            account.suspend_for("sends spam")


async def lose_account(town: Town, number: int) -> None:
    accounts = town.hosting.world.accounts
    if accounts:
        accounts.pop(number % len(accounts))


async def refuse(town: Town, number: int) -> None:
    """Let the service refuse all commands for an account, or no longer."""
    if (chosen := _chosen(town, number)) in town.ids:
        place = (town.ids[chosen], TYPES[number % 3])
        town.hosting.unwilling ^= {place}


# What mPanel and operators do.


async def delete_row(town: Town, number: int) -> None:
    """Let mPanel delete the subscription, its customer or its tenant."""
    chosen = _chosen(town, number)
    if chosen not in town.ids or chosen in town.commands.deleted:
        return
    table = ("subscriptions", "customers", "tenants")[number % 3]
    column = {"subscriptions": "id", "customers": "customer_id", "tenants": "tenant_id"}[table]
    before = await _mirrored(town)
    await town.pool.execute(
        f"DELETE FROM {table} WHERE id = (SELECT {column} FROM subscriptions WHERE id = $1)",
        town.ids[chosen],
    )
    town.commands.deleted |= before - await _mirrored(town)


async def _mirrored(town: Town) -> set[str]:
    rows = await town.pool.fetch("SELECT stripe_subscription_id FROM subscriptions")
    return {row["stripe_subscription_id"] for row in rows}


async def restore_row(town: Town, number: int) -> None:
    """Let an operator bring a deleted row back, or cancel the subscription at Stripe."""
    gone = sorted(town.commands.deleted)
    if not gone:
        return
    chosen = gone[number % len(gone)]
    with suppress(ConflictError):
        if number % 2:
            await deleted.restore(town.mirror, chosen, BY)
        else:
            await deleted.cancel(town.mirror, chosen, BY, refund=False)
        back = town.commands.deleted & await _mirrored(town)
        town.commands.deleted -= back
        town.commands.restored |= back


async def hold_or_lift(town: Town, number: int) -> None:
    chosen = _chosen(town, number)
    if chosen not in town.ids or chosen in town.commands.deleted:
        return
    if chosen in town.commands.held:
        await operations.lift(town.pool, town.ids[chosen], operator="grace")
    else:
        await operations.suspend(town.pool, town.ids[chosen], reason="abuse", operator="grace")
    town.commands.held ^= {chosen}


async def be_lenient(town: Town, number: int) -> None:
    chosen = _chosen(town, number)
    if chosen in town.ids and chosen not in town.commands.deleted:
        agreement = leniency.Agreement("a promise", grace_days=30)
        with suppress(ConflictError):
            await leniency.agree_leniency(town.pool, town.ids[chosen], agreement, operator="grace")
            town.commands.lenient.add(chosen)


async def ignore_price(town: Town, number: int) -> None:
    """Let an operator declare that the price of a subscription's last item gives nothing."""
    if held := await find_living(town, number):
        price = held["items"].data[-1].price.id
        with suppress(ConflictError, NotFoundError):
            await operations.ignore_price(town.pool, price, reason="advice", operator="grace")
            town.commands.ignored_prices.add(price)


async def settle_trouble(town: Town, number: int) -> None:
    chosen = _chosen(town, number)
    if chosen in town.commands.domains and chosen not in town.commands.deleted:
        with suppress(ConflictError, NotFoundError):
            await operations.settle_trouble(town.pool, town.ids[chosen])
            town.commands.settled.add(str(chosen))


async def retry(town: Town, number: int) -> None:
    chosen = _chosen(town, number)
    if chosen in town.ids and chosen not in town.commands.deleted:
        await operations.retry(town.pool, town.ids[chosen])


async def lose_response(town: Town, number: int) -> None:
    """Let Stripe's response to mPanel's cancellation be lost, so that its outcome is unknown."""
    held = await find_living(town, number)
    if held is None or held.id not in town.ids or held.id in town.commands.deleted:
        return
    await town.stripe.inject_fault(
        "status", method="POST", path=f"/v1/subscriptions/{held.id}", times=4, status=429
    )
    url = f"/api/billing/subscriptions/{town.ids[held.id]}/cancel"
    headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": f"lost-{len(town.sold)}"}
    async with town.client.post(url, json={}, headers=headers) as response:
        if response.status == 503:
            town.commands.unanswered[held.id] = await town.stripe.now()
    await town.session.delete(f"{town.stripe_url}/_sandbox/faults")


# Time.


async def leap(town: Town, number: int) -> None:
    await town.pass_time(LEAPS[number % len(LEAPS)])


async def miss_a_term(town: Town, number: int) -> None:
    """Let the card fail, and the next term begin."""
    if (held := await find_living(town, number)) is not None:
        await _give_card(town, held.customer, FAILING)
        end = max(item.current_period_end for item in held["items"].data)
        await town.pass_time(max(end - await town.stripe.now() + 5000, 1))


async def skip_a_term(town: Town, number: int) -> None:
    """Let a term begin while its invoices are kept as drafts, or are voided or written off."""
    if (held := await find_living(town, number)) is not None:
        behavior = ("keep_as_draft", "void", "mark_uncollectible")[number % 3]
        await _update(town, held.id, pause_collection={"behavior": behavior})
        end = max(item.current_period_end for item in held["items"].data)
        await town.pass_time(max(end - await town.stripe.now() + 5000, 1))


TIME: tuple[Happening, ...] = (leap, leap, leap, miss_a_term, pay_by_card)

SALES: tuple[Happening, ...] = (sell, sell, order, give_trial)

HAPPENINGS: tuple[Happening, ...] = (
    *(sell, sell, give_trial, order, order, add_item, add_item, remove_item),
    *(change_first_item, change_first_item, pause_or_resume_collection, cancel, cancel),
    *(schedule_or_release, change_card, change_card, change_card, pay, pay, pay_by_card),
    *(
        write_off,
        refund,
        dispute,
        dispute,
        bill_by_hand,
        delete_draft,
        collect,
        abuse,
        lose_account,
        refuse,
    ),
    *(delete_row, restore_row, hold_or_lift, be_lenient, ignore_price, settle_trouble, retry),
    *(leap, leap, leap, leap, leap, lose_response, miss_a_term, miss_a_term, skip_a_term),
    *(miss_a_term, pay, pay_by_card, cancel),
)
"""The frequent ones more than once."""

AFTER = tuple(
    one
    for one in HAPPENINGS
    if one not in {abuse, lose_account, refuse, leap, miss_a_term, skip_a_term}
)
"""What can happen at the same time; without what only the worker notices."""
