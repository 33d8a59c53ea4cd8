"""Nothing is overlooked: a param is implemented, or refused with a sentence that names it."""

import typing

import pytest
import stripe
from aiohttp import ClientSession

from stripe_sandbox.operations import ALWAYS, Operation
from stripe_sandbox.params import _choices, _fields
from stripe_sandbox.resources import OPERATIONS

AUTH = {"Authorization": "Bearer sk_test_x"}


def pairs(name: str, kind: object) -> list[tuple[str, str]]:
    """Return a form with a plausible value of the type."""
    [choice, *_] = _choices(kind)
    origin, arguments = typing.get_origin(choice), typing.get_args(choice)
    if origin is typing.Literal:
        return [(name, str(next((one for one in arguments if one != ""), "")))]
    if origin is list:
        return pairs(f"{name}[0]", arguments[0])
    if origin is dict:
        return pairs(f"{name}[key]", arguments[1])
    if hasattr(choice, "__required_keys__"):
        return fields(choice, name)
    return [(name, "true" if choice is bool else "x" if choice is str else "1")]


def fields(spec: type, path: str) -> list[tuple[str, str]]:
    declared = _fields(spec)
    names = vars(spec)["__required_keys__"] & declared.keys() or [min(declared)]
    return [pair for name in names for pair in pairs(f"{path}[{name}]", declared[name])]


def required(operation: Operation, *others: str) -> list[tuple[str, str]]:
    declared = _fields(operation.params)
    names = vars(operation.params)["__required_keys__"] & declared.keys() - set(others)
    return [pair for name in sorted(names) for pair in pairs(name, declared[name])]


def not_supported() -> list[tuple[Operation, str]]:
    """Return what is not implemented; a param that can only be emptied has nothing to refuse."""
    return [
        (operation, name)
        for operation in OPERATIONS
        for name in sorted(_fields(operation.params).keys() - operation.supports - ALWAYS)
        if _choices(_fields(operation.params)[name]) != (typing.Literal[""],)
    ]


def test_every_supported_param_is_one_of_stripes():
    unknown = {
        f"{operation.method} {operation.path}": operation.supports - declared
        for operation in OPERATIONS
        if operation.supports - (declared := _fields(operation.params).keys())
    }
    assert unknown == {}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
async def test_every_other_param_is_refused_by_name(sandbox, operation):
    names = [name for found, name in not_supported() if found is operation]
    url = f"{sandbox.url}/v1{operation.path.replace('{id}', 'x')}"
    async with ClientSession(headers=AUTH) as browser:
        for name in names:
            form = [*required(operation, name), *pairs(name, _fields(operation.params)[name])]
            sent = {"data": form} if operation.method == "POST" else {"params": form}
            async with browser.request(operation.method, url, **sent) as answer:
                error = (await answer.json())["error"]
            assert (answer.status, error.get("param")) == (400, name), error
            assert error["message"] == f"The sandbox does not support the param {name} here."


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
    taxed = {"tax_rates": ["txr_x"]}
    subscriptions, customer = shop.api.v1.subscriptions, subscription.customer
    if by == "create":
        item = {"price": shop.prices["monthly"], **taxed}
        call = subscriptions.create_async({"customer": customer, "items": [item]})
    else:
        item = {"id": subscription["items"].data[0].id, **taxed}
        call = subscriptions.update_async(subscription.id, {"items": [item]})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await call
    assert refused.value.param == "items[0][tax_rates]"


async def test_params_of_line_items_and_one_time_items_are_refused_too(shop):
    line = shop.lines("monthly")[0] | {"adjustable_quantity": {"enabled": True}}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.open(line_items=[line])
    assert refused.value.param == "line_items[0][adjustable_quantity]"
    subscription = await shop.buy()
    once = {"price": shop.prices["domain"], "tax_rates": ["txr_x"]}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.subscriptions.update_async(subscription.id, {"add_invoice_items": [once]})
    assert refused.value.param == "add_invoice_items[0][tax_rates]"


async def test_pending_updates_are_refused(shop):
    subscription = await shop.buy()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.subscriptions.update_async(
            subscription.id, {"payment_behavior": "pending_if_incomplete"}
        )
    assert refused.value.param == "payment_behavior"
