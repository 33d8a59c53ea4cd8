"""Tax ids: whose they are, whether they are valid, and where they are shown."""

import pytest
import stripe

from tests.stripe_sandbox.calls import add_default_card
from tests.stripe_sandbox.conftest import PENDING


async def verified(shop, customer: str) -> list[tuple[str, str]]:
    """Return the values and states of a customer's tax ids, newest first, once all is known."""
    await shop.driver.wait_idle()
    page = await shop.api.v1.customers.tax_ids.list_async(customer)
    return [(one.value, one.verification.status) for one in page.data]


@pytest.mark.parametrize(
    ("type_", "value", "first", "then"),
    [
        ("eu_vat", "DE123456789", "pending", "verified"),
        ("eu_vat", "000000000", "pending", "verified"),
        ("eu_vat", "DE111111111", "pending", "unverified"),
        ("au_abn", "222222222", "pending", "pending"),
        ("us_ein", "12-3456789", "unavailable", "unavailable"),
    ],
)
async def test_a_value_says_what_becomes_of_its_verification(shop, type_, value, first, then):
    _, customer = await shop.clocked_customer()
    made = await shop.api.v1.customers.tax_ids.create_async(
        customer, {"type": type_, "value": value}
    )
    assert made.verification.status == first
    assert await verified(shop, customer) == [(value, then)]
    events = [e for e in shop.receiver.events if e["type"].startswith("customer.tax_id.")]
    told = ["created"] if first == then else ["created", "updated"]
    assert [e["type"].removeprefix("customer.tax_id.") for e in events] == told
    if first != then:
        previous = events[-1]["data"]["previous_attributes"]
        assert previous == {"verification": {"status": "pending"}}


@pytest.mark.parametrize(
    ("type_", "value"),
    [("eu_vat", "DE12345678"), ("eu_vat", "ZZ123456789"), ("us_ein", "12"), ("ch_vat", "CHE-1")],
)
async def test_a_malformed_value_is_refused(shop, type_, value):
    customer = await shop.api.v1.customers.create_async({"email": "a@b.example"})
    with pytest.raises(stripe.InvalidRequestError, match=f"Invalid value for {type_}") as refused:
        await shop.api.v1.customers.tax_ids.create_async(
            customer.id, {"type": type_, "value": value}
        )
    assert (refused.value.code, refused.value.param) == ("tax_id_invalid", "value")


@pytest.mark.parametrize(
    ("type_", "value", "country"),
    [
        ("eu_vat", "EL123456789", "GR"), ("eu_vat", "XI123456789", "GB"),
        ("eu_oss_vat", "EU123456789", None), ("eu_vat", "000000000", None),
        ("gb_vat", "GB123456789", "GB"), ("ch_vat", "CHE-123.456.789 MWST", "CH"),
    ],
)  # fmt: skip
async def test_a_tax_id_knows_its_country(shop, type_, value, country):
    made = await shop.api.v1.tax_ids.create_async({"type": type_, "value": value})
    assert (made.country, made.verification, made.owner.type) == (country, None, "self")


async def test_tax_ids_are_listed_by_their_owner_and_deleted(shop):
    v1 = shop.api.v1
    data = [{"type": "eu_vat", "value": "DE123456789"}, {"type": "no_vat", "value": "123456789MVA"}]
    customer = (await v1.customers.create_async({"tax_id_data": data})).id
    own = await v1.tax_ids.create_async({"type": "gb_vat", "value": "GB123456789"})
    owner = {"type": "customer", "customer": customer}
    theirs = await v1.tax_ids.create_async({"type": "us_ein", "value": "123456789", "owner": owner})
    assert [t.id for t in (await v1.tax_ids.list_async()).data] == [own.id]
    assert len((await v1.tax_ids.list_async({"owner": owner})).data) == 3
    full = await v1.customers.retrieve_async(customer, {"expand": ["tax_ids"]})
    assert [t.value for t in full.tax_ids.data] == ["123456789", "123456789MVA", "DE123456789"]

    for deleted in (
        await v1.tax_ids.delete_async(own.id),
        await v1.customers.tax_ids.delete_async(customer, theirs.id),
    ):
        assert deleted.deleted
    assert [value for value, _ in await verified(shop, customer)] == ["123456789MVA", "DE123456789"]
    assert shop.receiver.last("customer.tax_id.deleted")["data"]["object"]["id"] == theirs.id
    other = await v1.customers.create_async({"email": "a@b.example"})
    first = full.tax_ids.data[1].id
    with pytest.raises(stripe.InvalidRequestError, match="No such tax_id"):
        await v1.customers.tax_ids.retrieve_async(other.id, first)
    await v1.customers.delete_async(customer)
    with pytest.raises(stripe.InvalidRequestError, match="No such tax_id"):
        await v1.tax_ids.retrieve_async(first)


async def test_a_tax_id_deleted_before_its_verification_is_forgotten(shop):
    customer = await shop.api.v1.customers.create_async({"email": "a@b.example"})
    of = shop.api.v1.customers.tax_ids
    made = await of.create_async(customer.id, {"type": "eu_vat", "value": "DE222222222"})
    await of.delete_async(customer.id, made.id)
    again = await of.create_async(customer.id, {"type": "eu_vat", "value": "DE123456789"})
    assert await verified(shop, customer.id) == [(again.value, "verified")]


async def test_an_invoice_shows_the_tax_ids_of_its_finalization(shop):
    _, customer = await shop.clocked_customer()
    await add_default_card(shop, customer)
    v1 = shop.api.v1
    vat = await v1.customers.tax_ids.create_async(
        customer, {"type": "eu_vat", "value": "DE123456789"}
    )
    await v1.invoice_items.create_async({"customer": customer, "amount": 1000, "currency": "usd"})
    draft = await v1.invoices.create_async({"customer": customer, **PENDING})
    assert [t.value for t in draft.customer_tax_ids] == ["DE123456789"]
    await v1.customers.tax_ids.create_async(customer, {"type": "us_ein", "value": "123456789"})
    final = await v1.invoices.finalize_invoice_async(draft.id)
    await v1.customers.tax_ids.delete_async(customer, vat.id)
    kept = await v1.invoices.retrieve_async(final.id)
    assert [(t.type, t.value) for t in kept.customer_tax_ids] == [
        ("us_ein", "123456789"), ("eu_vat", "DE123456789"),
    ]  # fmt: skip
