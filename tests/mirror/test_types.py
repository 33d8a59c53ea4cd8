"""Each mirrored type is complete, and works as an event, in a refetch and in a reconcile."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mpanel_billing.database.queries import load_queries
from mpanel_billing.mirror.locks import lock_keys
from mpanel_billing.mirror.mirror import Mirror, request_refetch
from mpanel_billing.mirror.mirrored_type import MirroredType
from mpanel_billing.mirror.repository import GROUPS, list_compared
from mpanel_billing.mirror.snapshot import snapshot_of_event
from mpanel_billing.mirror.types import (
    EVENT_TYPES,
    MIRRORED,
    MIRRORED_BY_NAME,
    TOLD_EVENT_TYPES,
    normalise,
)
from mpanel_billing.mirror.types.discount import DISCOUNT_EVENT_TYPES
from mpanel_billing.reconciliation.compare import ReconcileContext, compare_object, differences
from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from mpanel_billing.stripe_gateway.transport import resource_of
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.provisioning.world import World
from tests.service import make_settings

REFUND = {
    "id": "re_1",
    "object": "refund",
    "amount": 500,
    "currency": "usd",
    "status": "succeeded",
    "created": 1_790_000_000,
}
CHARGE = {
    "id": "ch_1",
    "object": "charge",
    "amount": 500,
    "currency": "usd",
    "status": "succeeded",
    "captured": True,
    "created": 1_790_000_000,
}
CREDIT_NOTE = {
    "id": "cn_1",
    "object": "credit_note",
    "amount": 500,
    "currency": "usd",
    "invoice": "in_1",
    "status": "issued",
    "created": 1_790_000_000,
}
DISPUTE = {
    "id": "du_1",
    "object": "dispute",
    "amount": 500,
    "charge": "ch_1",
    "currency": "usd",
    "reason": "fraudulent",
    "status": "needs_response",
    "created": 1_790_000_000,
}
FRAUD_WARNING = {
    "id": "issfr_1",
    "object": "radar.early_fraud_warning",
    "actionable": True,
    "charge": "ch_1",
    "fraud_type": "made_with_stolen_card",
    "created": 1_790_000_000,
}
TAX_ID = {
    "id": "txi_1",
    "object": "tax_id",
    "country": "DE",
    "customer": "cus_1",
    "type": "eu_vat",
    "value": "DE123456789",
    "verification": {"status": "pending", "verified_name": None, "verified_address": None},
    "created": 1_790_000_000,
}
TAX_RATE = {
    "id": "txr_1",
    "object": "tax_rate",
    "active": False,
    "country": "US",
    "display_name": "Sales Tax",
    "effective_percentage": 8.25,
    "inclusive": False,
    "jurisdiction": "Texas",
    "jurisdiction_level": "state",
    "percentage": 6.25,
    "state": "TX",
    "tax_type": "sales_tax",
    "created": 1_790_000_000,
}
CUSTOMER = {"id": "cus_1", "object": "customer", "email": "ada@example.com", "name": "Ada"}

SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "customer": CUSTOMER,
    "subscription": made.subscription(),
    "invoice": made.invoice(),
    "invoice_payment": made.invoice_payment(),
    "refund": REFUND,
    "charge": CHARGE,
    "credit_note": CREDIT_NOTE,
    "dispute": DISPUTE,
    "radar.early_fraud_warning": FRAUD_WARNING,
    "tax_id": TAX_ID,
    "tax_rate": TAX_RATE,
    "checkout.session": made.session(),
}
"""One object of each mirrored type; a type without one fails the tests below."""

each_type = pytest.mark.parametrize("mirrored", MIRRORED, ids=lambda each: each.object_type)
each_compared_type = pytest.mark.parametrize(
    "mirrored",
    [each for each in MIRRORED if each.comparison],
    ids=lambda each: each.object_type,
)


async def sample_of(mirrored: MirroredType[Any], inbox: Inbox) -> Mapping[str, Any]:
    """Return the sample; a session's names an order, without which it is ignored."""
    if mirrored.object_type == "checkout.session":
        return made.session(order=str(await inbox.order()))
    return SAMPLES[mirrored.object_type]


@pytest.fixture
async def gateway() -> AsyncIterator[StripeGateway]:
    """Stripe's API as far as the paths of the mirrored types go."""
    served: dict[str, Mapping[str, Any]] = {}

    async def respond(request: web.Request) -> web.Response:
        return web.json_response(served[request.path], headers={"Date": formatdate(usegmt=True)})

    app = web.Application()
    app.router.add_get("/{path:.*}", respond)
    for mirrored in MIRRORED:
        sample = SAMPLES[mirrored.object_type]
        served[f"{mirrored.resource.path}/{sample['id']}"] = sample
    async with (
        TestServer(app) as server,
        open_gateway(make_settings(stripe_api_base=str(server.make_url("/")))) as opened,
    ):
        yield opened


@each_type
def test_a_type_is_read_locked_and_known_by_its_names(mirrored: MirroredType[Any]) -> None:
    sample = SAMPLES[mirrored.object_type]
    assert sample["object"] == mirrored.object_type
    assert sample["id"].partition("_")[0] in mirrored.id_prefixes
    facts = normalise(sample, livemode=False)
    assert (facts.object_id, facts.livemode) == (sample["id"], False)
    assert mirrored.event_types
    assert mirrored.event_types <= EVENT_TYPES
    assert list(mirrored.lock_keys(facts))
    assert resource_of(f"https://stripe.test{mirrored.resource.path}/x_1") != "other"
    assert resource_of(f"https://stripe.test{mirrored.resource.path}") != "other"
    snapshot = snapshot_of_event(
        sample,
        event_id="evt_1",
        event_type=min(mirrored.event_types),
        created=datetime.now(UTC),
        livemode=False,
        previous=None,
    )
    assert lock_keys([snapshot])


def test_no_two_types_share_a_name_a_prefix_or_an_event() -> None:
    assert len(MIRRORED_BY_NAME) == len(MIRRORED)
    prefixes = [prefix for each in MIRRORED for prefix in each.id_prefixes]
    assert len(set(prefixes)) == len(prefixes)
    mirrored = sum(len(each.event_types) for each in MIRRORED)
    others = len(DISCOUNT_EVENT_TYPES) + len(TOLD_EVENT_TYPES)
    assert mirrored + others == len(EVENT_TYPES)


@each_type
def test_a_type_has_its_queries(mirrored: MirroredType[Any]) -> None:
    queries = load_queries(mirrored.query_file).by_name
    needed = {"write_snapshots"} | (set() if mirrored.object_type in GROUPS else {"list_stored"})
    if mirrored.comparison:
        needed |= {"list_compared", "find_absent"}
    assert needed <= queries.keys()


@each_type
@pytest.mark.parametrize("delay", [0, 60], ids=["the same second", "a later second"])
async def test_an_event_of_the_type_is_applied_once_and_a_newer_one_after_it(
    inbox: Inbox, mirrored: MirroredType[Any], delay: int
) -> None:
    sample = await sample_of(mirrored, inbox)
    event_type = max(mirrored.event_types)
    now = 1_790_000_000
    assert await inbox.deliver(event_type, sample, created=now) == "applied"
    again = await inbox.deliver(event_type, sample, created=now + delay)
    assert again == ("applied" if delay else "stale")
    assert await inbox.deliver(event_type, sample, created=now - 60) == "stale"


@each_type
async def test_an_object_of_the_type_is_refetched(
    inbox: Inbox, gateway: StripeGateway, mirrored: MirroredType[Any]
) -> None:
    id_ = SAMPLES[mirrored.object_type]["id"]
    async with inbox.pool.acquire() as conn, conn.transaction():
        await request_refetch(conn, mirrored.object_type, id_, "test")
    await Mirror(inbox.pool, gateway, livemode=False).refetch(id_)
    left = "SELECT last_error FROM stripe_refetches WHERE object_id = $1"
    assert await inbox.pool.fetch(left, id_) == []


@each_compared_type
async def test_reconcile_finds_what_is_missing_and_repairs_it(
    inbox: Inbox, gateway: StripeGateway, mirrored: MirroredType[Any]
) -> None:
    id_ = SAMPLES[mirrored.object_type]["id"]
    context = ReconcileContext(Mirror(inbox.pool, gateway, livemode=False), World().drivers())
    (missing,) = await compare_object(context, mirrored.object_type, id_)
    assert (missing.ours, missing.repaired) == (None, True)
    async with inbox.pool.acquire() as conn:
        rows = await list_compared(conn, mirrored.object_type, [id_])
    facts = normalise(SAMPLES[mirrored.object_type], livemode=False)
    assert differences(mirrored.object_type, facts, rows[id_]) == []
    assert await compare_object(context, mirrored.object_type, id_) == []
