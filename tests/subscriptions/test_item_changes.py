"""What a plan change requests from Stripe, as a pure function."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpanel_billing.catalogue.model import Catalogue, Price, Product
from mpanel_billing.catalogue.order import Order
from mpanel_billing.catalogue.pricing import price_order
from mpanel_billing.checkout.session_params import CatalogueNotPushedError
from mpanel_billing.errors import ConflictError, InvalidRequestError
from mpanel_billing.subscriptions.item_changes import PlanChange, PlanRequest, plan_change
from mpanel_billing.subscriptions.records import Item, Subscription

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PLANS = ("starter", "premium", "business")
ADDONS = ("addon-backups-daily", "addon-priority-support", "addon-ssl-premium")
CYCLES = ("monthly", "annually", "biennially")


def item(product: Product, price: Price, quantity: int = 1) -> Item:
    return Item(
        id=uuid4(),
        stripe_id=f"si_{product.code}",
        code=product.code,
        kind=product.kind,
        name=product.name,
        quantity=quantity,
        unit_amount=price.unit_amount,
        currency=price.currency,
        billing_cycle=price.billing_cycle,
        current_period_end=NOW,
    )


def subscription(*items: Item, status: str = "active") -> Subscription:
    return Subscription(
        id=UUID(int=1),
        customer_id=None,
        created_at=NOW,
        status="active",
        stripe_status=status,
        stripe_id="sub_1",
        stripe_customer_id="cus_1",
        billing_cycle=items[0].billing_cycle if items else None,
        currency="usd",
        amount=0,
        current_period_start=NOW,
        current_period_end=NOW,
        trial_end=None,
        cancel_at_period_end=False,
        cancel_at=None,
        canceled_at=None,
        ended_at=None,
        collection_paused=False,
        due_at=NOW,
        due_subtotal=0,
        due_net=0,
        balance=0,
        tenant=None,
        discounts=(),
        items=items,
    )


def bought(catalogue: Catalogue, plan_request: PlanRequest) -> Subscription:
    """The subscription that an order of all of that leads to."""
    addons = plan_request.addon_codes or ()
    priced = price_order(
        catalogue,
        Order(plan_request.plan_code, plan_request.billing_cycle, "usd", addon_codes=addons),
    )
    products = {**catalogue.plans, **catalogue.addons}
    return subscription(
        *(item(products[line.code], line.price) for line in priced.lines if line.recurring)
    )


def prices_after(catalogue: Catalogue, held: Subscription, change: PlanChange) -> set[str]:
    """Change the items as Stripe does; return the lookup keys of what is charged then."""
    charged = {
        one.stripe_id: f"{one.code}:{one.billing_cycle}" for one in held.items if one.stripe_id
    }
    for params in change.items:
        if params.get("deleted"):
            del charged[params["id"]]
            continue
        found = catalogue.find_price(params["price"])
        assert found
        product, price = found
        charged[params.get("id", f"new_{product.code}")] = f"{product.code}:{price.billing_cycle}"
    assert len(charged) == len(set(charged.values()))
    return set(charged.values())


plan_requests = st.builds(
    PlanRequest,
    st.sampled_from(PLANS),
    st.sampled_from(CYCLES),
    st.lists(st.sampled_from(ADDONS), unique=True).map(tuple),
)


def is_sold(catalogue: Catalogue, plan_request: PlanRequest) -> bool:
    products = [catalogue.addons[code] for code in plan_request.addon_codes or ()]
    return all(product.price_for(plan_request.billing_cycle, "usd") for product in products)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(before=plan_requests, after=plan_requests)
def test_a_change_leads_to_what_an_order_would_have_led_to(
    catalogue: Catalogue, before: PlanRequest, after: PlanRequest
) -> None:
    if not (is_sold(catalogue, before) and is_sold(catalogue, after)):
        return
    held, ordered = bought(catalogue, before), bought(catalogue, after)
    change = plan_change(held, after, catalogue)
    assert prices_after(catalogue, held, change) == {
        f"{one.code}:{one.billing_cycle}" for one in ordered.items
    }
    assert change.recurring == sum(one.unit_amount or 0 for one in ordered.items)
    same = (before.plan_code, before.billing_cycle, {*(before.addon_codes or ())}) == (
        after.plan_code,
        after.billing_cycle,
        {*(after.addon_codes or ())},
    )
    assert (change.items == ()) == same
    assert plan_change(ordered, after, catalogue).items == ()


STARTER = PlanRequest("starter", "monthly", ("addon-backups-daily",))


def test_what_stays_keeps_its_price_although_the_catalogues_has_changed(
    catalogue: Catalogue,
) -> None:
    held = bought(catalogue, STARTER)
    cheap = replace(held, items=tuple(replace(one, unit_amount=100) for one in held.items))
    added = PlanRequest("starter", "monthly", ("addon-backups-daily", "addon-priority-support"))
    change = plan_change(cheap, added, catalogue)
    assert [set(params) for params in change.items] == [{"price", "quantity"}]
    assert change.recurring == 200 + 1999
    upgrade = plan_change(cheap, PlanRequest("premium", "monthly"), catalogue)
    assert upgrade.recurring == 899 + 100


def test_the_plan_is_changed_in_place_with_its_quantity(catalogue: Catalogue) -> None:
    plan = bought(catalogue, STARTER).items[0]
    products = tuple(replace(product, max_quantity=3) for product in catalogue.products)
    change = plan_change(
        subscription(replace(plan, quantity=3)),
        PlanRequest("premium", "monthly"),
        replace(catalogue, products=products),
    )
    (params,) = change.items
    assert (params["id"], params["quantity"]) == ("si_starter", 3)  # Stripe would set it to 1
    assert change.recurring == 3 * 899


def test_an_addon_that_is_no_longer_sold_stays_until_the_term_changes(
    catalogue: Catalogue,
) -> None:
    held = bought(catalogue, STARTER)
    without = replace(
        catalogue,
        products=tuple(one for one in catalogue.products if one.code != "addon-backups-daily"),
    )
    assert len(plan_change(held, PlanRequest("premium", "monthly"), without).items) == 1
    with pytest.raises(InvalidRequestError) as raised:
        plan_change(held, PlanRequest("premium", "annually"), without)
    assert raised.value.code == "unknown_addon"
    dropped = plan_change(held, PlanRequest("premium", "annually", ()), without)
    assert {"id": "si_addon-backups-daily", "deleted": True} in dropped.items


def test_an_item_outside_the_catalogue_stays_and_fixes_the_term(catalogue: Catalogue) -> None:
    plan = bought(catalogue, STARTER).items[0]
    own = replace(plan, stripe_id="si_own", code=None, kind=None, name=None, unit_amount=50)
    held = subscription(plan, own)
    change = plan_change(held, PlanRequest("premium", "monthly", ()), catalogue)
    assert [params["id"] for params in change.items] == ["si_starter"]
    assert change.recurring == 899 + 50
    with pytest.raises(InvalidRequestError) as raised:
        plan_change(held, PlanRequest("premium", "annually", ()), catalogue)
    assert raised.value.code == "term_cannot_change"


@pytest.mark.parametrize("count", [0, 2])
def test_a_subscription_without_exactly_one_plan_cannot_change_it(
    catalogue: Catalogue, count: int
) -> None:
    plan, addon = bought(catalogue, STARTER).items
    with pytest.raises(ConflictError):
        plan_change(subscription(addon, *[plan] * count), STARTER, catalogue)


def test_another_currency_is_refused_where_the_plan_is_not_sold_in_it(
    catalogue: Catalogue,
) -> None:
    held = replace(bought(catalogue, STARTER), currency="jpy")
    with pytest.raises(InvalidRequestError) as raised:
        plan_change(held, PlanRequest("premium", "monthly"), catalogue)
    assert raised.value.code == "currency_not_sold"


def test_a_trial_continues_only_on_a_plan_with_a_trial(catalogue: Catalogue) -> None:
    tried = replace(bought(catalogue, STARTER), stripe_status="trialing")
    assert plan_change(tried, PlanRequest("premium", "monthly"), catalogue).ends_trial
    assert not plan_change(tried, PlanRequest("starter", "annually"), catalogue).ends_trial


def _with_prices(catalogue: Catalogue, code: str, *prices: Price, **more: Any) -> Catalogue:
    changed = replace(catalogue.plans[code], prices=prices, **more)
    rest = tuple(one for one in catalogue.products if one.code != code)
    return Catalogue((*rest, changed), catalogue.coupons, catalogue.currency)


def test_the_setup_fee_of_what_is_new_is_charged_once(catalogue: Catalogue) -> None:
    premium = catalogue.plans["premium"]
    monthly = premium.price_for("monthly", "usd")
    assert monthly
    fee = replace(monthly, billing_cycle=None, unit_amount=2500, stripe_price_id="price_setup")
    dear = _with_prices(catalogue, "premium", monthly, fee)
    change = plan_change(bought(catalogue, STARTER), PlanRequest("premium", "monthly"), dear)
    assert change.setup_prices == ("price_setup",)
    had = bought(catalogue, PlanRequest("premium", "monthly"))
    again = plan_change(had, PlanRequest("premium", "monthly", ("addon-backups-daily",)), dear)
    assert again.setup_prices == ()


def test_a_plan_missing_at_stripe_cannot_be_changed_to(catalogue: Catalogue) -> None:
    monthly = catalogue.plans["premium"].price_for("monthly", "usd")
    assert monthly
    unknown = _with_prices(catalogue, "premium", replace(monthly, stripe_price_id=None))
    with pytest.raises(CatalogueNotPushedError):
        plan_change(bought(catalogue, STARTER), PlanRequest("premium", "monthly"), unknown)
