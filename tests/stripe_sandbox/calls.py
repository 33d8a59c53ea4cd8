"""Calls that many tests of the sandbox make, and how they are refused."""

import pytest
import stripe


async def customer_with_card(shop, **params):
    customer = await shop.api.v1.customers.create_async(params)
    card = await shop.driver.replace_card(customer.id)
    return customer.id, card


async def subscribe(shop, customer, *prices, **params):
    items = [{"price": shop.prices[name]} for name in prices or ["monthly"]]
    return await shop.api.v1.subscriptions.create_async(
        {"customer": customer, "items": items, **params}
    )


async def add_default_card(shop, customer):
    card = await shop.api.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer})
    await shop.api.v1.customers.update_async(
        customer, {"invoice_settings": {"default_payment_method": card.id}}
    )


def refused(sentence, param=None):
    def check(error):
        return param is None or error.param == param

    return pytest.raises(stripe.InvalidRequestError, match=sentence, check=check)
