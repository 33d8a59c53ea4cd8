"""Who a customer is: their account in mPanel, and two records that are one person's."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from mpanel_billing.subscriptions.merging import forget_former
from tests.commands import run_command
from tests.subscriptions.conftest import Answer, Backend, buy


@pytest.fixture
async def second(backend: Backend, bought: str, order_a: dict[str, Any]) -> str:
    """What the same person has ordered at another address."""
    other = {"name": "Ada L.", "email": "ada@work.example"}
    return await buy(backend, {**order_a, "customer": other, "addonIds": []})


async def account(backend: Backend, email: str = "ada@example.com") -> UUID:
    """Open an account in mPanel whose address is not verified."""
    id_: UUID = await backend.service.pool.fetchval(
        "INSERT INTO users (email, password_hash) VALUES ($1, 'x') RETURNING id", email
    )
    return id_


async def listed(backend: Backend, customer: str) -> set[str]:
    answer = await backend.get("subscriptions", customerId=customer)
    return {one["id"] for one in answer.body.get("subscriptions", [])}


async def books(backend: Backend) -> list[tuple[Any, ...]]:
    """Return what each record has: itself, subscriptions, invoices, Stripe customers, orders."""
    rows = await backend.service.pool.fetch(
        """
        SELECT c.id::text, c.email, c.name, c.user_id::text, c.stripe_customer_id,
            c.joined_id::text,
            ARRAY(SELECT s.id FROM subscriptions s WHERE s.customer_id = c.id ORDER BY 1)::text,
            ARRAY(SELECT i.id FROM invoices i WHERE i.customer_id = c.id ORDER BY 1)::text,
            ARRAY(SELECT k.id FROM stripe_customers k WHERE k.customer_id = c.id ORDER BY 1)::text,
            ARRAY(SELECT o.subscription_id FROM orders o WHERE o.customer_id = c.id ORDER BY 1)
                ::text
        FROM customers c ORDER BY c.id
        """
    )
    return [tuple(row) for row in rows]


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.body["code"]


async def test_two_records_of_one_person_become_one_and_apart_again(
    backend: Backend, bought: str, second: str
) -> None:
    first_id, other_id = await backend.customer_of(bought), await backend.customer_of(second)
    before = await books(backend)
    stripe = {await backend.stripe_ids(bought), await backend.stripe_ids(second)}
    done = await backend.done(f"customers/{other_id}/merge", {"intoCustomerId": first_id})
    assert done["customerId"] == first_id
    for named in (first_id, other_id):
        assert await listed(backend, named) == {bought, second}
    assert {await backend.stripe_ids(bought), await backend.stripe_ids(second)} == stripe
    assert len({customer for _, customer in stripe}) == 2, "Stripe's customers stay apart"
    again = await backend.done(f"customers/{other_id}/merge", {"intoCustomerId": first_id})
    assert again["customerId"] == first_id
    others = {"intoCustomerId": other_id, "customerId": str(uuid4())}
    stranger = await backend.post(f"customers/{first_id}/merge", others)
    assert refused(stranger) == (404, "unknown_customer")
    back = await backend.post(f"customers/{first_id}/merge", {"intoCustomerId": other_id})
    assert refused(back) == (409, "has_joined")

    await backend.done(f"customers/{other_id}/undo-merge")
    assert await books(backend) == before
    assert await listed(backend, first_id) == {bought}
    assert await listed(backend, other_id) == {second}
    assert refused(await backend.post(f"customers/{other_id}/undo-merge")) == (404, "not_merged")
    assert await backend.audit() == [("customer.merge", "done"), ("customer.unmerge", "done")]


async def tax_ids(backend: Backend, *customers: str) -> list[str | None]:
    """Return the tax ids of records, in mPanel's column."""
    rows = await backend.service.pool.fetch("SELECT id::text, tax_id FROM customers")
    found = {row["id"]: row["tax_id"] for row in rows}
    return [found[id_] for id_ in customers]


async def give_tax_id(backend: Backend, id_: str, value: str) -> str:
    """Give the Stripe customer of a subscription a tax id, and return Stripe's id of that."""
    _, customer = await backend.stripe_ids(id_)
    made = await backend.worker.gateway.client.v1.tax_ids.create_async(
        {
            "type": "eu_vat",
            "value": value,
            "owner": {"type": "customer", "customer": customer},
        }
    )
    await backend.worker.catch_up()
    return made.id


async def test_a_tax_id_goes_with_its_principal_stripe_customer_and_back(
    backend: Backend, bought: str, second: str
) -> None:
    first_id, other_id = await backend.customer_of(bought), await backend.customer_of(second)
    pool, v1 = backend.service.pool, backend.worker.gateway.client.v1
    former = await give_tax_id(backend, second, "DE111111111")
    assert await tax_ids(backend, first_id, other_id) == [None, "DE111111111"]
    merge = (f"customers/{other_id}/merge", {"intoCustomerId": first_id})
    await backend.done(*merge)
    assert await tax_ids(backend, first_id, other_id) == [None, None], "the first one's principal"
    await give_tax_id(backend, second, "DE222222222")
    await v1.tax_ids.delete_async(former)
    await backend.worker.catch_up()
    await backend.done(f"customers/{other_id}/undo-merge")
    assert await tax_ids(backend, first_id, other_id) == [None, "DE222222222"]

    await pool.execute(
        "UPDATE customers SET stripe_customer_id = NULL, stripe_customer_paid_at = NULL"
        " WHERE id::text = $1",
        first_id,
    )
    await backend.done(*merge)
    assert await tax_ids(backend, first_id, other_id) == ["DE222222222", None]
    await backend.done(f"customers/{other_id}/undo-merge")
    assert await tax_ids(backend, first_id, other_id) == [None, "DE222222222"]


async def test_a_tax_id_that_mpanel_has_of_a_customer_stays_theirs(
    backend: Backend, bought: str, second: str
) -> None:
    first_id, other_id = await backend.customer_of(bought), await backend.customer_of(second)
    await give_tax_id(backend, second, "DE111111111")
    typed = "UPDATE customers SET tax_id = $2 WHERE id::text = $1"
    for id_, value in ((first_id, "FR-TYPED"), (other_id, "DE-TYPED")):
        await backend.service.pool.execute(typed, id_, value)
    await backend.done(f"customers/{other_id}/merge", {"intoCustomerId": first_id})
    assert await tax_ids(backend, first_id, other_id) == ["FR-TYPED", None]
    await backend.done(f"customers/{other_id}/undo-merge")
    assert await tax_ids(backend, first_id, other_id) == ["FR-TYPED", "DE-TYPED"]


async def test_what_has_come_since_for_their_stripe_customer_goes_back_too(
    backend: Backend, bought: str, second: str
) -> None:
    first_id, other_id = await backend.customer_of(bought), await backend.customer_of(second)
    await backend.done(f"customers/{other_id}/merge", {"intoCustomerId": first_id})
    await backend.done(
        f"subscriptions/{second}/charges",
        {
            "description": "Migration",
            "unitAmount": 4900,
        },
    )
    await backend.service.pool.execute(
        "UPDATE invoices SET updated_at = now() WHERE subscription_id::text = $1", second
    )
    await backend.done(f"customers/{other_id}/undo-merge")
    rows = await backend.service.pool.fetch(
        "SELECT customer_id::text FROM invoices WHERE subscription_id::text = $1", second
    )
    assert {row["customer_id"] for row in rows} == {other_id}


async def test_it_is_too_late_after_a_day_and_nothing_is_kept_twice(
    backend: Backend, bought: str, second: str
) -> None:
    first_id, other_id = await backend.customer_of(bought), await backend.customer_of(second)
    await backend.done(f"customers/{other_id}/merge", {"intoCustomerId": first_id})
    pool = backend.service.pool
    await pool.execute("UPDATE billing_merges SET merged_at = now() - interval '25 hours'")
    answer = await backend.post(f"customers/{other_id}/undo-merge")
    assert refused(answer) == (409, "too_late")
    await forget_former(pool)
    assert await pool.fetchval("SELECT former FROM billing_merges") is None
    assert refused(await backend.post(f"customers/{other_id}/undo-merge")) == (409, "too_late")
    assert await listed(backend, other_id) == {bought, second}


async def test_a_customer_without_an_account_gets_one(
    backend: Backend, bought: str, second: str
) -> None:
    first_id, other_id = await backend.customer_of(bought), await backend.customer_of(second)
    user = str(await account(backend, "somebody@else.example"))
    for _ in range(2):
        await backend.done(f"customers/{first_id}/link-user", {"accountId": user})
    answer = await backend.get("subscriptions", userId=user)
    assert {one["id"] for one in answer.body["subscriptions"]} == {bought}
    path = f"customers/{other_id}/link-user"
    assert refused(await backend.post(path, {"accountId": user})) == (409, "account_has_customer")
    assert refused(await backend.post(path, {"accountId": str(uuid4())})) == (404, "unknown_user")
    another = {"accountId": str(await account(backend, "third@else.example"))}
    taken = await backend.post(f"customers/{first_id}/link-user", another)
    assert refused(taken) == (409, "has_account")
    unknown = await backend.post(f"customers/{uuid4()}/link-user", another)
    assert refused(unknown) == (404, "unknown_customer")

    # the account goes with the record, and comes back with it
    await backend.done(f"customers/{first_id}/merge", {"intoCustomerId": other_id})
    answer = await backend.get("subscriptions", userId=user)
    assert {one["id"] for one in answer.body["subscriptions"]} == {bought, second}
    await backend.done(f"customers/{first_id}/undo-merge")
    answer = await backend.get("subscriptions", userId=user)
    assert {one["id"] for one in answer.body["subscriptions"]} == {bought}

    await backend.done(path, another)
    both = await backend.post(f"customers/{first_id}/merge", {"intoCustomerId": other_id})
    assert refused(both) == (409, "two_accounts")
    same = await backend.post(f"customers/{first_id}/merge", {"intoCustomerId": first_id})
    assert same.status == 422


async def test_operators_do_it_at_the_command_line(
    backend: Backend, bought: str, second: str, database_url: str
) -> None:
    first_id, other_id = await backend.customer_of(bought), await backend.customer_of(second)
    before = await books(backend)
    words = ("customers", "merge", other_id, "--into", first_id)
    assert (await run_command(database_url, *words)).status == 0
    assert await listed(backend, other_id) == {bought, second}
    undone = await run_command(database_url, "customers", "undo-merge", other_id)
    assert undone.out == f"{other_id} has its own again, apart from {first_id}\n"
    assert await books(backend) == before
    user = str(await account(backend))
    linked = await run_command(database_url, "customers", "link-user", first_id, user)
    assert linked.out == f"{first_id} has the account {user}\n"
