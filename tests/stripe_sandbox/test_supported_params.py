"""Nothing is overlooked: a param is implemented, or refused with a sentence that names it."""

from collections.abc import Iterator

import pytest
import stripe
from aiohttp import ClientSession

from stripe_sandbox.errors import ApiError
from stripe_sandbox.operations import Operation
from stripe_sandbox.params import check_params
from stripe_sandbox.resources import OPERATIONS
from stripe_sandbox.supported import PAGES, OneOf, Supported
from tests.stripe_sandbox.param_types import (
    ByKey,
    Param,
    Path,
    bare,
    fields,
    form_of,
    is_list,
    key_of,
    nested,
    sample,
    scalars,
)

AUTH = {"Authorization": "Bearer sk_test_x"}


def others(
    operation: Operation, spec: type | ByKey, declared: Supported, path: Path = ()
) -> Iterator[Param]:
    """Yield what Stripe accepts and the sandbox does not declare."""
    for name, kind in sorted(fields(spec).items()):
        here = (*path, name)
        part = declared.parts.get(name)
        inner = nested(kind)
        if inner and not fields(inner):
            continue  # a form cannot name an object of nothing
        if name not in declared.parts:
            values = [sample(kind)] if inner else scalars(kind)[:1]
        elif isinstance(part, OneOf):
            values = [v for v in scalars(kind) if not part.accepts(bare(v))]
        else:
            values = []
            if isinstance(part, Supported) and inner:
                yield from others(operation, inner, part, here)
        for value in values:
            yield Param(here, form_of(operation.params, here, value), value)


def not_supported(operation: Operation) -> list[Param]:
    implemented = Supported({**PAGES.parts, **operation.supports.parts})
    return [] if operation.is_empty else [*others(operation, operation.params, implemented)]


def named(operation: Operation, path: Path) -> str:
    """Return the param's name as errors write it: `items[0][price]`."""
    spec, name = operation.params, ""
    for step in path:
        name = f"{name}[{key_of(step)}]" if name else step
        kind = fields(spec)[step]
        spec = nested(kind) or spec
        name += "[0]" if is_list(kind) and step != path[-1] else ""
    return name


def undeclared(declared: Supported, spec: type | ByKey, path: Path = ()) -> Iterator[Path]:
    """Yield what is declared and no param of Stripe's."""
    known = fields(spec)
    for name, part in declared.parts.items():
        inner = nested(known.get(name))
        if name not in known or (isinstance(part, Supported) and inner is None):
            yield (*path, name)
        elif isinstance(part, Supported) and inner:
            yield from undeclared(part, inner, (*path, name))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_every_supported_param_is_one_of_stripes(operation):
    assert [*undeclared(operation.supports, operation.params)] == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_every_other_param_is_refused_by_name(operation):
    for param in not_supported(operation):
        checked = check_params(param.form, operation.params)
        with pytest.raises(ApiError) as refused:
            operation.refuse_unsupported(checked)
        error, name = refused.value.body["error"], named(operation, param.path)
        value = param.value["0"] if set(param.value) == {"0"} else param.value
        assert error["param"].startswith(name), (param, error)
        assert error["message"] in {
            f"The sandbox does not support the param {name} here.",
            f"The sandbox does not support {error['param']}={value} here.",
        }


async def test_a_nested_param_is_refused_over_http(sandbox):
    url = f"{sandbox.url}/v1/subscriptions"
    form = {"customer": "x", "items[0][billing_thresholds][usage_gte]": "5"}
    async with (
        ClientSession(headers=AUTH) as browser,
        browser.post(url, data=form) as answer,
    ):
        error = (await answer.json())["error"]
    assert (answer.status, error["param"]) == (400, "items[0][billing_thresholds]")


@pytest.mark.parametrize(("prorate", "amounts"), [(True, [-1000]), (False, [])])
async def test_cancelling_may_credit_the_unused_time(shop, prorate, amounts):
    subscription = await shop.buy()
    await shop.api.v1.subscriptions.cancel_async(subscription.id, {"prorate": prorate})
    items = (await shop.api.v1.invoice_items.list_async({"pending": True})).data
    assert [item.amount for item in items] == amounts


async def test_the_credit_of_a_cancellation_may_be_invoiced_at_once(shop):
    subscription = await shop.buy()
    await shop.api.v1.subscriptions.cancel_async(
        subscription.id, {"prorate": True, "invoice_now": True}
    )
    assert [i.total for i in await shop.invoices(subscription.id)] == [1000, -1000]
    customer = await shop.api.v1.customers.retrieve_async(subscription.customer)
    assert customer.balance == -1000


async def test_cards_are_listed_by_type(shop):
    subscription = await shop.buy()
    of = shop.api.v1.customers.payment_methods.list_async
    assert len((await of(subscription.customer, {"type": "card"})).data) == 1
    assert (await of(subscription.customer, {"type": "us_bank_account"})).data == []


@pytest.mark.parametrize("by", ["create", "update"])
async def test_params_of_items_are_refused_too(shop, by):
    subscription = await shop.buy()
    limited = {"billing_thresholds": {"usage_gte": 5}}
    subscriptions, customer = shop.api.v1.subscriptions, subscription.customer
    if by == "create":
        item = {"price": shop.prices["monthly"], **limited}
        call = subscriptions.create_async({"customer": customer, "items": [item]})
    else:
        item = {"id": subscription["items"].data[0].id, **limited}
        call = subscriptions.update_async(subscription.id, {"items": [item]})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await call
    assert refused.value.param == "items[0][billing_thresholds]"


async def test_params_of_line_items_are_refused_too(shop):
    line = shop.lines("monthly")[0] | {"price_data": {"currency": "usd", "product_data": {
        "name": "x", "tax_details": {"tax_code": "x"}}}}  # fmt: skip
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.open(line_items=[line])
    assert refused.value.param == "line_items[0][price_data][product_data][tax_details]"
