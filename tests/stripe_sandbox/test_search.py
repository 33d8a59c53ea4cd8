"""Search: Stripe's query language, its pages and its refusals."""

import pytest
import stripe

from stripe_sandbox.errors import ApiError
from stripe_sandbox.resources.searches import RESOURCES
from stripe_sandbox.search import Searchable, parse

CUSTOMER = {
    "created": 100,
    "email": "amy@rocketrides.io",
    "metadata": {"order": "7", "donation-id": "asdf-jkl"},
    "name": "One two three four",
    "phone": None,
}
CHARGE = {
    "amount": 1000,
    "amount_refunded": 10,
    "currency": "usd",
    "metadata": {},
    "payment_method_details": {"card": {"last4": "4242"}},
    "refunded": False,
}


def finds(query: str, document=CUSTOMER, of: str = "customers") -> bool:
    return parse(query, Searchable(of, RESOURCES[of][2]))(document)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('email:"amy@rocketrides.io"', True),
        ("email:'AMY@rocketrides.io'", True),
        ("email:'amy'", False),
        ("email~'ROCKET'", True),
        ("-email~'rocket'", False),
        ('name:"one two three"', True),
        ('name:"two one"', False),
        ('name:"thre"', False),
        ('metadata["order"]:"7"', True),
        ("metadata['order']:'8'", False),
        ('-metadata["donation-id"]:null', True),
        ('metadata["other"]:null', True),
        ("phone:null", True),
        ("created>99", True),
        ("created>100", False),
        ("created>=100 created<='100'", True),
        ("created<100", False),
        ("email:'x' OR created:100", True),
        ("email:'x' or created:99", False),
        ("email~'amy' AND -created:99", True),
        ("email~'amy' and created:99", False),
        ("email~'amy' created:100", True),
    ],
)
def test_a_query_finds_what_its_clauses_say(query, found):
    assert finds(query) is found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("refunded:'false'", True),
        ("refunded:null", False),
        ("payment_method_details.card.last4:4242", True),
        ("payment_method_details.card.last4:42", False),
        ("-currency:'usd'", False),
        ('amount>999 AND currency:"usd"', True),
    ],
)
def test_charges_are_found_by_card_refund_and_amount(query, found):
    assert finds(query, CHARGE, "charges") is found


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("asdf", "We were unable to parse your search query."),
        ("", "We were unable to parse your search query."),
        ("email:amy", "We were unable to parse your search query."),
        ("email:'a' AND", "We were unable to parse your search query."),
        ("metadata:'a'", "We were unable to parse your search query."),
        (
            'foo:"bar"',
            "Field `foo` is an unsupported search field for resource `customers`. See http://",
        ),
        ("email:'a' AND created:1 OR created:2", "You cannot combine AND and OR"),
        ("email>'a'", "Operator `>` is not supported for the field `email`."),
        ("created~'100'", "Operator `~` is not supported for the field `created`."),
        ("created>'soon'", "The field `created` is a number"),
        ("email~'ab'", "A substring has at least 3 characters"),
        (" ".join(["created:1"] * 11), "A search query can have up to 10 clauses."),
    ],
)
def test_a_query_that_is_not_of_the_language_is_refused(query, sentence):
    with pytest.raises(ApiError) as refused:
        finds(query)
    assert refused.value.body["error"]["message"].startswith(sentence)


async def test_a_search_has_pages_forwards(shop):
    for number in range(5):
        await shop.api.v1.customers.create_async(
            {"name": f"Ada {number}", "metadata": {"shop": "a"}}
        )
    query = {"query": "metadata['shop']:'a'", "limit": 2}
    first = await shop.api.v1.customers.search_async({**query, "expand": ["total_count"]})
    assert first["object"] == "search_result"
    assert first.url == "/v1/customers/search"
    assert (first.total_count, first.has_more) == (5, True)
    assert [one.name async for one in first.auto_paging_iter()] == [
        f"Ada {number}" for number in (4, 3, 2, 1, 0)
    ]
    assert "total_count" not in await shop.api.v1.customers.search_async(query)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.customers.search_async({**query, "page": "nonsense"})
    assert refused.value.param == "page"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.customers.search_async({**query, "limit": 101})
    assert refused.value.param == "limit"


async def test_every_resource_that_stripe_searches_is_found(shop):
    subscription = await shop.buy()
    v1 = shop.api.v1
    [invoice] = await shop.invoices(subscription.id)
    of = f"subscription:'{subscription.id}'"
    found = await v1.invoices.search_async({"query": of, "expand": ["data.customer"]})
    assert [(one.id, one.customer.id) for one in found.data] == [
        (invoice.id, subscription.customer)
    ]
    for service, query in (
        (v1.charges, "amount:1000 AND payment_method_details.card.brand:'visa'"),
        (v1.customers, "email:'ada@example.com'"),
        (v1.payment_intents, "status:'succeeded'"),
        (v1.prices, "lookup_key:'monthly'"),
        (v1.products, "name~'tart' AND active:'true'"),
        (v1.subscriptions, "status:'active'"),
    ):
        assert len((await service.search_async({"query": query})).data) == 1, query
