"""A session may do what its key may, and sees nothing else: route by route."""

import re

import pytest

from mpanel_billing.access.key import Scope
from mpanel_billing.console.app import MODULES
from mpanel_billing.console.pages import Declared
from tests.console.conftest import Console, Ids, signed_in
from tests.service import Service

DECLARED = [declared for pages in MODULES for declared in pages.declared]
ACTIONS = {name: action for pages in MODULES for name, action in pages.actions.items()}
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
