"""A customer's life: the steps that every client takes, in order, and what happens between them.

A client hands on what the event after its step needs, and is given what the event before it yields:
an address, the id of a card.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import ClientSession

from tests.inline_worker import InlineWorker
from tests.service import ORDER

_GOOD, _NO_FUNDS_LATER = "4242424242424242", "4000000000000341"


@dataclass(frozen=True)
class World:
    """What is there beside the client: the customer's browser, the bank, time."""

    worker: InlineWorker

    async def submit(self, page: str, card: str, **more: str) -> None:
        """Fill in a page of Stripe as a customer does."""
        form = {"cardNumber": card, "cardExpiry": "12/34", "cardCvc": "123", "billingName": "Ada"}
        async with (
            ClientSession() as browser,
            browser.post(page, data=form | more, allow_redirects=False) as response,
        ):
            assert response.status == 303, await response.text()


async def the_order_is_paid(world: World, page: str) -> None:
    await world.submit(page, _GOOD, email="ada@example.com")


async def the_same_person_orders_elsewhere(world: World) -> str:
    """With an add-on that is billed by usage, and under another address."""
    who = {"name": "Ada L.", "email": "ada@work.example"}
    order = await world.worker.service.buy(ORDER | {"addonIds": ["traffic"], "customer": who})
    return str(order["subscriptionId"])


async def mpanel_opens_an_account(world: World) -> str:
    return str(
        await world.worker.service.pool.fetchval(
            "INSERT INTO users (email, password_hash) VALUES ('ada@example.com', 'x') RETURNING id"
        )
    )


async def another_card_is_saved(world: World) -> str:
    v1 = world.worker.gateway.client.v1
    (customer,) = (await v1.customers.list_async({"email": "ada@example.com"})).data
    card = await v1.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
    await v1.payment_methods.attach_async(card.id, {"customer": customer.id})
    return card.id


async def the_bank_disputes_a_payment(world: World) -> None:
    charges = await world.worker.gateway.client.v1.charges.list_async({"limit": 1})
    await world.worker.service.stripe.dispute(charges.data[0].id)


async def the_customer_has_a_card_without_funds(world: World, page: str) -> None:
    await world.submit(page, _NO_FUNDS_LATER, action="card")


async def stripe_gives_up(world: World) -> None:
    """It retries for 15 days, and then leaves the subscription unpaid."""
    stripe = world.worker.service.stripe
    await stripe.advance_time(await stripe.now() + 20 * 86_400)


async def the_invoice_is_paid(world: World, page: str) -> None:
    await world.submit(page, _GOOD)


Event = Callable[..., Awaitable[str | None]]

LIFE: tuple[str | Event, ...] = (
    "choose",
    "order",
    the_order_is_paid,
    "begin_the_trial",
    "get_access_data",
    "extend_the_trial",
    "end_the_trial",
    the_same_person_orders_elsewhere,
    "report_usage",
    "be_one_person",
    mpanel_opens_an_account,
    "have_an_account",
    "change_the_plan",
    "plan_a_downgrade_and_undo_it",
    "have_more_of_an_addon",
    "be_charged_once",
    "have_a_coupon",
    "read_an_invoice",
    "be_refunded",
    "be_credited",
    "be_billed_by_hand",
    "owe_nothing",
    another_card_is_saved,
    "pay_in_each_way",
    "have_a_balance",
    the_bank_disputes_a_payment,
    "answer_the_dispute",
    "cancel_and_resume",
    "cancel_and_take_the_offer",
    "pause",
    "change_the_card",
    the_customer_has_a_card_without_funds,
    "resume_without_funds",
    "be_past_due",
    stripe_gives_up,
    "be_suspended",
    the_invoice_is_paid,
    "be_served_again",
    "end",
)
STEPS = [step for step in LIFE if isinstance(step, str)]
