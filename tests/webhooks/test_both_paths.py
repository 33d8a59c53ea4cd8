"""Every path leaves the same rows as a transaction does, whatever arrives and whatever is stored.

The same rows are created in two databases. One receives each event on the fast path if possible,
else by a decision; the other receives all of them in transactions.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mpanel_billing.database.pool import Pool, create_pool, transaction
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.settings import DatabaseSettings
from mpanel_billing.webhooks.event import Event, parse_event
from mpanel_billing.webhooks.fast_path import Received, receive_on_fast_path
from mpanel_billing.webhooks.full_path import LeftEvent, receive_decided
from mpanel_billing.webhooks.inbox import receive_event, receive_events
from mpanel_billing.webhooks.jsonb import Body
from mpanel_billing.webhooks.prepared import prepare_event
from mpanel_billing.webhooks.recent import RecentInvoices
from tests import stripe_objects as made
from tests.convergence.news import TOLD as TOLD_OF_ALL
from tests.postgres import Databases
from tests.stripe_objects import credit_note, dispute

EXAMPLES = int(os.environ.get("BOTH_WAYS_EXAMPLES", "15"))
NOW = 1_790_000_000
MONTH = 2_592_000
HUGE = 10**12


def _with_some_of(*changes: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Make few changes at a time, so that each is seen on its own."""
    several = st.lists(st.sampled_from(changes), max_size=2)
    return several.map(lambda chosen: {k: v for change in chosen for k, v in change.items()})


PRICES = ("price_known", "price_other", "price_new", None)
PRODUCTS = ("prod_web", "prod_unknown", None)
ITEM = st.fixed_dictionaries(
    {
        "price": st.sampled_from(PRICES),
        "product": st.sampled_from(PRODUCTS),
        "amount": st.sampled_from([799, 799, 0, None]),
    }
)
BEGINNING = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["active"] * 3 + ["trialing"] * 2 + ["past_due", "incomplete"]),
        "cancel_at": st.sampled_from([None, None, NOW + MONTH, NOW + 3 * MONTH]),
        "items": st.lists(ITEM, min_size=1, max_size=3),
        "settled": st.sampled_from([True, True, True, False]),
    }
)

ODDITIES = (
    "UPDATE subscriptions SET collection_paused = NULL WHERE {mine}",
    "UPDATE subscriptions SET cancel_at_period_end = NULL, current_period_end = NULL WHERE {mine}",
    "UPDATE subscriptions SET billing_cycle = NULL, amount = 1 WHERE {mine}",
    "UPDATE subscriptions SET stripe_customer_id = NULL WHERE {mine}",
    "UPDATE subscriptions SET initial_payment_settled = NULL WHERE {mine}",
    "UPDATE subscriptions SET order_paid = NULL WHERE {mine}",
    "UPDATE subscriptions SET order_paid = FALSE WHERE {mine}",
    "UPDATE subscriptions SET stripe_as_of = stripe_as_of + interval '10 seconds' WHERE {mine}",
    "UPDATE subscription_items SET price_id = NULL WHERE {of_mine}",
    "UPDATE subscription_items SET quantity = NULL, currency = 'eur' WHERE {of_mine}",
    "DELETE FROM subscription_items WHERE {of_mine}",
    """INSERT INTO subscription_discounts (subscription_id, stripe_discount_id, position, fetched)
    SELECT id, 'di_of_old', 0, FALSE FROM subscriptions WHERE {mine}""",
    """INSERT INTO subscription_items (subscription_id, currency)
    SELECT id, 'usd' FROM subscriptions WHERE {mine}""",
    "UPDATE invoices SET stripe_subscription_id = NULL, subscription_id = NULL WHERE {mine}",
    "UPDATE invoices SET customer_id = NULL, stripe_customer_id = NULL WHERE {mine}",
    "UPDATE subscriptions SET tenant_id = (SELECT id FROM tenants) WHERE {mine}",
    "DELETE FROM stripe_refetches WHERE object_id LIKE 'in\\_{name}\\_%'",
)
"""What people, mPanel and time may have done to the rows."""

RENEWAL = _with_some_of(
    *({"status": status} for status in ("active", "past_due", "canceled")),
    *({"items": how} for how in ("fewer", "more", "other price", "twice", "incomplete", "none")),
    {"cancel_at_period_end": True},
    *({"cancel_at": moment} for moment in (None, NOW + 5, NOW + MONTH, NOW + 3 * MONTH)),
    {"trial_end": NOW + 9, "canceled_at": NOW + 10, "ended_at": NOW + 11},
    {"pause_collection": {"behavior": "void"}},
    {"quantity": 2},
    {"quantity": None},
    {"quantity": 0},
    *({"product": product} for product in PRODUCTS),
    *(
        {"status": "paused", "status_details": {"paused": {"subscription": {"type": reason}}}}
        for reason in ("pause_requested", "first_payment_failure")
    ),
    {"status": "unpaid"},
    {"unit_amount": HUGE},
    {"recurring": {"interval": "year", "interval_count": 1}},
    {"recurring": {"interval": "week", "interval_count": 1}},
    {"discounts": ["di_{name}_1"]},
    {"discount": {"id": "di_{name}_2", "coupon": {"id": "c", "percent_off": 5}}},
    {"customer": "cus_{name}_2"},
    {"currency": "eur"},
    {"schedule": "sub_sched_{name}"},
)
BILL = _with_some_of(
    *({"status": status} for status in ("draft", "open", "void", "uncollectible")),
    {"status": "open", "attempt_count": 2, "status_transitions": {"finalized_at": NOW + 3}},
    {"status": "open", "collection_method": "send_invoice", "due_date": NOW + 86_400},
    {"status_transitions": {"finalized_at": NOW + 3, "paid_at": NOW + 2 * MONTH}},
    {"total": 0},
    {"total": HUGE},
    {"status": "open", "paid": 1},
    {"payment_intent": "pi_{name}"},
    *({"subscription": f"sub_{{name}}_{number}"} for number in (1, 2, 9)),
    {"subscription": None},
    {"customer": None},
    {"due_date": NOW + 86_400, "number": None, "next_payment_attempt": NOW + 7},
    {"attempt_count": 3, "billing_reason": "manual", "currency": "eur"},
    {"hosted_invoice_url": None, "invoice_pdf": None, "total_taxes": [{"amount": 7}]},
    {
        "status": "void",
        "status_transitions": {"finalized_at": NOW + 3, "voided_at": NOW + 4},
        "total_taxes": [
            {
                "amount": 100,
                "tax_behavior": "inclusive",
                "tax_rate_details": {"tax_rate": "txr_1"},
                "taxability_reason": "standard_rated",
                "taxable_amount": 699,
            }
        ],
    },
)
PAYMENT = st.fixed_dictionaries({"status": st.sampled_from(["paid", "open", "canceled"])})
TAKEN_BACK = _with_some_of(
    *({"amount": amount} for amount in (300, 799)),
    *({"dispute": status} for status in ("warning_needs_response", "under_review", "won", "lost")),
    {"note": "void"},
    {"refund": "failed"},
)
TOLD = st.one_of(
    st.tuples(st.just("subscription"), RENEWAL),
    st.tuples(st.just("invoice"), BILL),
    st.tuples(st.just("payment"), PAYMENT),
    st.tuples(st.sampled_from(["refund", "note", "dispute"]), TAKEN_BACK),
)
BATCH = st.lists(
    st.tuples(TOLD, st.sampled_from([1, 1, 2]), st.sampled_from([0, 0, 0, 0, -10, -25])),
    min_size=1,
    max_size=4,
)
PLANS = st.fixed_dictionaries(
    {
        "beginnings": st.tuples(BEGINNING, BEGINNING),
        "oddity": st.none() | st.sampled_from(ODDITIES),
        "batches": st.lists(BATCH, min_size=1, max_size=4),
        "again": st.booleans(),
    }
)

_ONE_ITEM = {"price": "price_known", "product": "prod_web", "amount": 799}
_RUNNING = {"status": "active", "cancel_at": None, "items": [_ONE_ITEM], "settled": True}
REFUNDED_BEFORE_IT_IS_SEEN = {
    "beginnings": (_RUNNING, _RUNNING),
    "oddity": None,
    "batches": [
        [(("payment", {"status": "open"}), 1, 0), (("refund", {}), 1, 0)],
        [(("invoice", {}), 1, 0)],
    ],
    "again": False,
}
"""The payment of an invoice is known, and that it was given back, before the invoice itself."""


@dataclass
class Story:
    """The events of one example; all its ids contain the example's name."""

    name: str
    beginnings: Sequence[Mapping[str, Any]]
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def event(self, type_: str, about: Mapping[str, Any], created: int) -> Event:
        id_ = f"evt_{self.name}_{next(self.numbers)}"
        payload = made.event(type_, about, created=created, id_=id_)
        return parse_event(Body.of(payload), livemode=False)

    def begin(self) -> list[Event]:
        """Return events about both subscriptions, and the first invoices of the settled ones."""
        begun = []
        for number, how in enumerate(self.beginnings, 1):
            about = self._subscription(number, NOW, {})
            begun.append(self.event("customer.subscription.created", about, NOW))
            if how["settled"]:
                begun.append(self.event("invoice.paid", self._invoice(number, "first", {}), NOW))
        return begun

    def event_about(self, about: tuple[str, Mapping[str, Any]], number: int, created: int) -> Event:
        kind, changes = about
        named = {key: self._named(value) for key, value in changes.items()}
        if kind == "subscription":
            stripe_object = self._subscription(number, created, named)
            return self.event("customer.subscription.updated", stripe_object, created)
        if kind == "invoice":
            which = "first" if created % 3 == 0 else "next"
            return self.event("invoice.updated", self._invoice(number, which, named), created)
        if kind in _TAKEN_BACK_BY:
            return self._taken_back(kind, named, number, created)
        payment = made.invoice_payment(
            f"inpay_{self.name}_{number}",
            invoice=f"in_{self.name}_{number}_next",
            payment_intent=f"pi_{self.name}_{number}",
            **named,
        )
        return self.event("invoice_payment.paid", payment, created)

    def _taken_back(self, kind: str, how: Mapping[str, Any], number: int, created: int) -> Event:
        """Return an event of a refund, credit note or dispute of the payment of an invoice."""
        place, intent = f"{self.name}_{number}", f"pi_{self.name}_{number}"
        amount = how.get("amount", 799)
        stripe_object = {
            "refund": made.refund(
                f"re_{place}",
                payment_intent=intent,
                amount=amount,
                status=how.get("refund", "succeeded"),
            ),
            "note": credit_note(
                f"cn_{place}",
                f"in_{place}_next",
                total=amount,
                post_payment_amount=amount,
                status=how.get("note", "issued"),
            ),
            "dispute": dispute(f"du_{place}", intent, status=how.get("dispute", "needs_response")),
        }[kind]
        return self.event(_TAKEN_BACK_BY[kind], stripe_object, created)

    def _named(self, value: Any) -> Any:
        return value.replace("{name}", self.name) if isinstance(value, str) else value

    def _invoice(self, number: int, which: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        own = {
            "subscription": f"sub_{self.name}_{number}",
            "customer": f"cus_{self.name}_{number}",
        }
        return made.invoice(f"in_{self.name}_{number}_{which}", **own | changes)

    def _subscription(self, number: int, start: int, changes: Mapping[str, Any]) -> dict[str, Any]:
        how = self.beginnings[number - 1]
        items = [
            self._item(number, place, item, start, changes)
            for place, item in enumerate(how["items"])
        ]
        data, more = _ITEMS[changes.get("items", "the same")](items)
        own = {
            "status": how["status"],
            "cancel_at": how["cancel_at"],
            "customer": f"cus_{self.name}_{number}",
        }
        rest = {key: changes[key] for key in changes if key not in _OF_ITEMS}
        about = made.subscription(f"sub_{self.name}_{number}", **own | rest)
        return about | {"items": {"object": "list", "has_more": more, "data": data}}

    def _item(
        self, number: int, place: int, item: Mapping[str, Any], start: int, changes: Any
    ) -> dict[str, Any]:
        price = {
            "id": item["price"],
            "product": changes.get("product", item["product"]),
            "currency": changes.get("currency", "usd"),
            "unit_amount": changes.get("unit_amount", item["amount"]),
            "recurring": changes.get("recurring", {"interval": "month", "interval_count": 1}),
        }
        return {
            "id": f"si_{self.name}_{number}_{place}",
            "quantity": changes.get("quantity", 1),
            "price": price,
            "current_period_start": start,
            "current_period_end": start + MONTH,
        }


_TAKEN_BACK_BY = {
    "refund": "refund.updated",
    "note": "credit_note.updated",
    "dispute": "charge.dispute.updated",
}
_OF_ITEMS = {"items", "product", "quantity", "unit_amount", "recurring"}


def _other_price(item: Mapping[str, Any]) -> dict[str, Any]:
    return {**item, "price": {**item["price"], "id": "price_of_old"}}


_Items = list[dict[str, Any]]
_ITEMS: Mapping[str, Callable[[_Items], tuple[_Items, bool]]] = {
    "the same": lambda items: (items, False),
    "fewer": lambda items: (items[:-1], False),
    "more": lambda items: ([*items, {**items[0], "id": items[0]["id"] + "_more"}], False),
    "other price": lambda items: ([*items[:-1], _other_price(items[-1])], False),
    "twice": lambda items: ([*items, items[0]], False),
    "incomplete": lambda items: (items, True),
    "none": lambda items: ([], False),
}

SOLD = """
    INSERT INTO tenants (id, name, domain)
    VALUES ('00000000-0000-4000-8000-000000000001', 'tenant', 'tenant.test');
    INSERT INTO products (id, name, type, price, code, kind, stripe_product_id, livemode)
    VALUES ('00000000-0000-4000-8000-000000000002', 'Web', 'hosting', 7.99, 'web', 'plan',
        'prod_web', FALSE);
    INSERT INTO prices (id, product_id, billing_cycle, currency, unit_amount, lookup_key,
        stripe_price_id, livemode)
    SELECT named.id::uuid, '00000000-0000-4000-8000-000000000002', cycle, 'usd', 799, cycle, price,
        FALSE
    FROM (VALUES
        ('00000000-0000-4000-8000-000000000003', 'monthly', 'price_known'),
        ('00000000-0000-4000-8000-000000000004', 'annually', 'price_other')
    ) AS named (id, cycle, price)"""
"""With the same ids in both databases."""

ROWS = {
    "subscriptions": "SELECT * FROM subscriptions WHERE id = ANY($1)",
    "items": "SELECT * FROM subscription_items WHERE subscription_id = ANY($1)",
    "discounts": "SELECT * FROM subscription_discounts WHERE subscription_id = ANY($1)",
    "invoices": "SELECT * FROM invoices WHERE stripe_invoice_id LIKE 'in\\_' || $2 || '\\_%'",
    "payments": "SELECT * FROM invoice_payments"
    " WHERE stripe_invoice_id LIKE 'in\\_' || $2 || '\\_%'",
    "refunds": "SELECT * FROM stripe_refunds WHERE stripe_refund_id LIKE 're\\_' || $2 || '\\_%'",
    "credit notes": "SELECT * FROM stripe_credit_notes"
    " WHERE stripe_credit_note_id LIKE 'cn\\_' || $2 || '\\_%'",
    "disputes": "SELECT * FROM stripe_disputes"
    " WHERE stripe_dispute_id LIKE 'du\\_' || $2 || '\\_%'",
    "news": "SELECT type, object_id, data #- '{invoice,id}' FROM billing_messages"
    " WHERE subscription_id = ANY($1) OR object_id LIKE '%\\_' || $2 || '\\_%'",
    "customers": "SELECT * FROM stripe_customers WHERE id LIKE 'cus\\_' || $2 || '\\_%'",
    "refetches": "SELECT object_id, object_type, reason, next_attempt_at - requested_at AS delay"
    " FROM stripe_refetches WHERE object_id LIKE '%\\_' || $2 || '\\_%'",
    "work": "SELECT * FROM provisioning_work WHERE subscription_id = ANY($1)",
    "jobs": "SELECT regexp_replace(dedupe_key, '^(refetch:.*):[0-9]+$', '\\1') FROM pgqueuer"
    " WHERE dedupe_key LIKE '%\\_' || $2 || '\\_%'"
    " OR substr(dedupe_key, 11, 36) IN (SELECT id::text FROM unnest($1::uuid[]) AS own (id))",
    "events": "SELECT *, applied_at IS NULL AS open FROM stripe_events"
    " WHERE id LIKE 'evt\\_' || $2 || '\\_%'",
}
NAMES = """
    SELECT id, stripe_subscription_id AS name FROM subscriptions
    WHERE stripe_subscription_id LIKE 'sub\\_' || $1 || '\\_%'
    UNION ALL SELECT customer_id, id FROM stripe_customers
    WHERE id LIKE 'cus\\_' || $1 || '\\_%' AND customer_id IS NOT NULL"""
_MOMENTS = {"created_at", "updated_at", "received_at", "applied_at", "requested_at"}
_OURS = _MOMENTS | {"next_attempt_at", "wake_at", "attempts"}


async def rows_of(pool: Pool, name: str) -> Mapping[str, list[str]]:
    """Return all rows of one example, with names in place of our ids."""
    names = {str(row["id"]): row["name"] for row in await pool.fetch(NAMES, name)}
    own = [id_ for id_, own_name in names.items() if own_name.startswith(f"sub_{name}_")]
    found = {}
    for table, query in ROWS.items():
        args = [arg for mark, arg in (("$1", own), ("$2", name)) if mark in query]
        rows = await pool.fetch(query if "$1" in query else query.replace("$2", "$1"), *args)
        found[table] = sorted(str(_plain(dict(row), names)) for row in rows)
    return found


def _plain(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    kept = {key: str(value) for key, value in row.items() if key not in _OURS}
    if kept.get("id") not in names and not kept.get("id", "").startswith(("evt_", "cus_")):
        kept.pop("id", None)
    for id_, name in names.items():
        kept = {key: value.replace(id_, name) for key, value in kept.items()}
    return kept


@dataclass(frozen=True)
class World:
    """Two databases: one for single statements, one for transactions alone.

    What `recent` remembers is decided without asking first, as in a web process.
    """

    both: Pool
    full: Pool
    recent: RecentInvoices = field(default_factory=RecentInvoices)
    taken: list[int] = field(default_factory=list)
    decided: list[int] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def everywhere(self, query: str) -> None:
        for pool in (self.both, self.full):
            await pool.execute(query)

    async def receive_alike(self, events: Sequence[Event]) -> None:
        """Receive events in both databases; the outcomes are the same."""
        for event in events:
            first, second = [await receive_event(p, event) for p in (self.both, self.full)]
            assert first == second, event

    async def receive(self, events: Sequence[Event]) -> None:
        """Receive events of different objects, in one database by single statements if possible."""
        ready = [event for event in map(prepare_event, events) if event]
        taken: Mapping[str, Outcome] = {}
        decided: Mapping[str, Outcome] = {}
        if ready:
            async with self.both.acquire() as conn:
                known = {e.event.id: row for e in ready if (row := self.recent.find(e))}
                clear = [each for each in ready if each.event.id not in known]
                received = await receive_on_fast_path(conn, clear) if clear else Received()
                self.recent.note_all(clear, received.written)
                stored = {**received.left, **known}
                left = [
                    LeftEvent(each, stored[each.event.id], seen=True)
                    for each in ready
                    if each.event.id in stored
                ]
                taken = received.outcomes
                decided = await receive_decided(conn, left, self.recent)
            self.taken.append(len(taken))
            self.decided.append(len(decided))
        for outcomes in (taken, decided):
            async with transaction(self.full) as conn:
                done = [event for event in events if event.id in outcomes]
                assert await receive_events(conn, done) == outcomes
        outcomes = {**taken, **decided}
        await self.receive_alike([event for event in events if event.id not in outcomes])


async def compare(world: World, plan: Mapping[str, Any]) -> None:
    """Run one example in both databases; the rows are the same."""
    name = f"e{next(world.numbers)}e"
    story = Story(name, plan["beginnings"])
    await world.receive_alike(story.begin())
    if plan["oddity"]:
        mine = f"stripe_subscription_id = 'sub_{name}_1'"
        of_mine = f"subscription_id = (SELECT id FROM subscriptions WHERE {mine})"
        await world.everywhere(plan["oddity"].format(mine=mine, of_mine=of_mine, name=name))
    delivered: list[Event] = []
    for second, batch in enumerate(plan["batches"], 1):
        events: dict[str, Event] = {}
        for about, number, shift in batch:
            event = story.event_about(about, number, NOW + 10 * second + shift)
            events.setdefault(event.batch_key, event)
        delivered += events.values()
        await world.receive([*events.values()])
    if plan["again"]:
        for event in delivered:
            await world.receive([event])
    with described(delivered):
        assert await rows_of(world.both, name) == await rows_of(world.full, name)


@contextmanager
def described(delivered: Sequence[Event]) -> Iterator[None]:
    """Add the delivered events to the error if the rows are not the same."""
    try:
        yield
    except AssertionError as error:
        error.add_note("\n".join(event.payload for event in delivered))
        raise


@asynccontextmanager
async def running_world(urls: Sequence[str]) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        pools = []
        for url in urls:
            own = DatabaseSettings(_env_file=None, database_url=url)  # type: ignore[call-arg]
            pools.append(await stack.enter_async_context(await create_pool(own)))
        world = World(both=pools[0], full=pools[1])
        await world.everywhere(f"{SOLD};{TOLD_OF_ALL}")
        yield world


def test_the_fast_path_leaves_the_rows_of_the_full_path(
    database_url: str, databases: Databases, template: str
) -> None:
    with databases.opened(template) as other, asyncio.Runner() as runner:
        context = running_world([database_url, other])
        world = runner.run(context.__aenter__())

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @example(plan=REFUNDED_BEFORE_IT_IS_SEEN)
        @given(plan=PLANS)
        def paths_are_equal(plan: Mapping[str, Any]) -> None:
            runner.run(compare(world, plan))

        try:
            paths_are_equal()
            assert any(world.taken), "the fast path is tried"
            assert any(world.decided), "the full path is tried"
        finally:
            runner.run(context.__aexit__(None, None, None))
