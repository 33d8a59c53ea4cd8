"""Lists of objects that the sandbox does not have, and the account by its id."""

import pytest
import stripe
from aiohttp import ClientSession

from stripe_sandbox.resources.empty_lists import LISTS

AUTH = {"Authorization": "Bearer sk_test_x"}


@pytest.mark.parametrize("path", sorted(LISTS))
async def test_there_is_an_empty_list_rather_than_404(sandbox, path):
    async with (
        ClientSession(headers=AUTH) as browser,
        browser.get(f"{sandbox.url}/v1{path}?limit=3") as answer,
    ):
        assert answer.status == 200
        assert await answer.json() == {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1{path}",
        }


async def test_filters_of_empty_lists_are_checked_and_accepted(api):
    assert (await api.v1.disputes.list_async({"created": {"gt": 5}})).data == []
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: colour"):
        await api.v1.disputes.list_async({"colour": "red"})


async def test_the_account_is_found_by_its_id_and_no_other(api):
    own = await api.v1.accounts.retrieve_current_async()
    assert (await api.v1.accounts.retrieve_async(own.id)).id == own.id
    with pytest.raises(stripe.PermissionError, match="does not have access to account"):
        await api.v1.accounts.retrieve_async("acct_other")


async def test_recurring_prices_are_listed_as_plans(shop):
    plans = (await shop.api.v1.plans.list_async({"product": shop.product})).data
    assert {plan.id: plan.amount for plan in plans} == {
        shop.prices["monthly"]: 1000,
        shop.prices["yearly"]: 10000,
        shop.prices["bigger"]: 3000,
    }
    assert (await shop.api.v1.plans.list_async({"active": False})).data == []
