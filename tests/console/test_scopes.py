"""A session may do what its key may, and sees nothing else: route by route."""

import re

import pytest

from mpanel_billing.access.key import Scope
from mpanel_billing.console.app import MODULES
from mpanel_billing.console.pages import Declared
from mpanel_billing.console.private import HIDDEN, without_amounts
from mpanel_billing.console.routes.work import STATUSES
from mpanel_billing.money import STRIPE_CURRENCIES, format_money
from tests.access.conftest import bearer
from tests.console.conftest import KEY, Console, Ids, signed_in
from tests.inline_worker import InlineWorker
from tests.service import Service

DECLARED = [declared for pages in MODULES for declared in pages.declared]
ACTIONS = {name: action for pages in MODULES for name, action in pages.actions.items()}
OF_THE_CATALOGUE = {one.address for one in DECLARED if "/catalogue" in one.address}
"""What is sold at which price is no secret."""
MONEY = re.compile(r"[$€£¥]\d|\bvisa\b|last4|card_declined|The bank declined|1298")
OWED = "SELECT id FROM invoices WHERE stripe_status = 'open'"
READING: tuple[Scope, ...] = ("admin:read", "billing:read", "billing:any-customer")


def address(declared: Declared, ids: Ids) -> str:
    of = {"subscriptions": ids.subscription, "customers": ids.customer, "invoices": ids.invoice}
    kind = declared.address.split("/")[2]
    return declared.address.replace("{id}", of.get(kind, "evt_none"))


def test_every_action_and_every_form_has_a_scope() -> None:
    without = {one.address for one in DECLARED if one.scope is None}
    assert without == {"/console/preferences"}


@pytest.mark.parametrize("scope", sorted({one.scope for one in DECLARED if one.scope}))
async def test_without_its_scope_no_route_answers_and_with_it_each_does(
    service: Service, ids: Ids, scope: Scope
) -> None:
    """`evt_none` and the like are not found, but only once the scope is there."""
    others = sorted({one.scope for one in DECLARED if one.scope} - {scope})
    lacking = await signed_in(service, *others, "billing:any-customer", name="lacking")
    having = await signed_in(service, scope, "billing:any-customer", name="having")
    token = (await lacking.open("/console/preferences")).field("form_token")
    for declared in (one for one in DECLARED if one.scope == scope):
        path = address(declared, ids)
        data = {"form_token": token} if declared.method == "POST" else None
        refused = await lacking.send(declared.method, path, data=data)
        assert refused.status == 403, declared
        assert f'"{scope}"' in await _text(refused)
        if declared.method == "GET":
            assert (await having.open(path)).status in {200, 404, 409}, declared


async def _text(answer) -> str:
    import html

    return html.unescape(await answer.text())


async def test_what_is_of_billing_also_needs_any_customer(service: Service, ids: Ids) -> None:
    desk = await signed_in(service, "admin:read", "billing:read", "billing:refund")
    refused = await desk.open(f"/console/invoices/{ids.invoice}")
    assert (refused.status, "billing:any-customer" in refused.text) == (403, True)
    assert "/console/debtors" not in refused.links
    page = await desk.open(f"/console/customers/{ids.customer}")
    assert page.status == 200
    assert "Latest invoices" not in page.text


async def test_who_only_reads_sees_no_action_anywhere(service: Service, ids: Ids) -> None:
    reader = await signed_in(service, *READING)
    allowed = {f"/console/{name}" for name in ("find", "sign-out")}
    doing = [
        re.compile(action.address.replace("{id}", "[^/]+").replace("/", "/"))
        for action in ACTIONS.values()
    ]
    for declared in DECLARED:
        if declared.method == "POST" or declared.scope not in {*READING, None}:
            continue
        shown = await reader.open(address(declared, ids))
        assert shown.status in {200, 404}, (declared, shown.text)
        offered = {link for link in shown.links if any(one.fullmatch(link) for one in doing)}
        assert offered == set(), declared
        forms = set(re.findall(r'method="post" action="([^"]+)"', shown.html))
        assert forms <= allowed | {"/console/preferences"}


async def test_who_may_do_all_is_offered_what_the_subscription_allows(
    console: Console, ids: Ids
) -> None:
    page = await console.open(f"/console/subscriptions/{ids.subscription}")
    base = f"/console/subscriptions/{ids.subscription}"
    assert {f"{base}/retry", f"{base}/suspend", f"{base}/cancel"} <= page.links
    assert f"{base}/lift" not in page.links  # nobody has suspended it
    assert f"{base}/trial" not in page.links  # it is not in a trial


async def test_who_may_not_read_money_sees_none_on_any_page(
    service: Service, ids: Ids, worker: InlineWorker
) -> None:
    """After a refund, a dispute and a declined renewal, in whatever page tells of them."""
    owner = Console(service)
    await owner.sign_in(KEY)
    answer = await service.client.post(
        f"/api/billing/invoices/{ids.invoice}/refund", json={"amount": 123}, headers=bearer(KEY)
    )
    assert answer.status == 200
    charge = await service.pool.fetchval("SELECT stripe_charge_id FROM stripe_charges")
    await service.stripe.dispute(charge)
    customer = await service.pool.fetchval("SELECT stripe_customer_id FROM subscriptions")
    await service.stripe.wait_idle()
    await service.stripe.replace_card(customer, "4000000000000341")
    await service.stripe.advance_time(await service.stripe.now() + 32 * 86_400)
    await worker.catch_up()
    answer = await service.client.post(
        f"/api/billing/invoices/{await service.pool.fetchval(OWED)}/pay", headers=bearer(KEY)
    )
    assert answer.status == 402
    rows = await service.pool.fetch("SELECT id FROM stripe_events")
    pages = [f"/console/events/{row['id']}" for row in rows]
    pages += [f"/console/events?status={status}" for status in STATUSES]
    pages += ["/console/find?q=ada%40example.com", "/console/audit?target=" + ids.invoice]
    pages += [
        address(one, ids)
        for one in DECLARED
        if (one.method, one.scope) == ("GET", "admin:read") and one.address not in OF_THE_CATALOGUE
    ]
    desk = await signed_in(service, "admin:read")
    shown = 0
    for path in pages:
        page = await desk.open(path)
        assert page.status in {200, 404}, path
        assert not MONEY.findall(page.text), (path, MONEY.findall(page.text))
        shown += page.status == 200 and bool(MONEY.search((await owner.open(path)).text))
    assert shown > 10


@pytest.mark.parametrize("currency", sorted(STRIPE_CURRENCIES))
async def test_amounts_are_left_out_of_texts_in_each_currency(currency: str) -> None:
    for minor in (-1_234_567_890, -5, 0, 99, 2298, 1_234_500):
        text = f"the bank takes back {format_money(minor, currency)} in 3 days"
        assert without_amounts(text) == f"the bank takes back {HIDDEN} in 3 days"
