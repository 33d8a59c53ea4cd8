"""Notes about customers, over HTTP."""

import asyncio
from uuid import uuid4

from mpanel_billing.access.audit import Actor
from mpanel_billing.search.notes import add_note, list_notes
from tests.http.conftest import HEADERS, KEY, Clients
from tests.service import make_app, make_settings


async def make_customer(pool, **columns) -> str:
    id_ = await pool.fetchval(
        "INSERT INTO customers (email, name) VALUES ($1, 'Ada') RETURNING id",
        columns.get("email", "ada@example.com"),
    )
    return str(id_)


async def test_a_note_is_added_and_listed_newest_first(
    database_url: str, pool, aiohttp_client: Clients
) -> None:
    settings = make_settings(database_url=database_url, admin_api_keys=KEY)
    client = await aiohttp_client(make_app(settings))
    address = f"/api/admin/customers/{await make_customer(pool)}/notes"
    for body in ("pays by invoice", "moved to Paris"):
        answer = await client.post(
            address, json={"body": body}, headers={**HEADERS, "X-Actor": "user:7"}
        )
        assert answer.status == 201, await answer.text()
    listed = (await (await client.get(address, headers=HEADERS)).json())["notes"]
    assert [(one["body"], one["person"], one["writtenBy"]) for one in listed] == [
        ("moved to Paris", "user:7", "settings:admin:1"),
        ("pays by invoice", "user:7", "settings:admin:1"),
    ]
    unknown = await client.post(
        f"/api/admin/customers/{uuid4()}/notes", json={"body": "x"}, headers=HEADERS
    )
    assert (unknown.status, (await unknown.json())["code"]) == (404, "unknown_customer")
    for wrong in ("", "  ", "x" * 4001):
        refused = await client.post(address, json={"body": wrong}, headers=HEADERS)
        assert refused.status == 422


async def test_what_was_noted_of_a_record_that_joined_is_with_the_one_it_joined(pool) -> None:
    kept = await make_customer(pool)
    joined = await make_customer(pool, email="ada@example.org")
    await add_note(pool, joined, "ordered without an account", Actor("desk"))
    await pool.execute(
        "UPDATE customers SET joined_id = $1, joined_at = now() WHERE id = $2", kept, joined
    )
    await add_note(pool, kept, "has an account now", Actor("desk"))
    bodies = [row["body"] for row in await list_notes(pool, kept)]
    assert bodies == ["has an account now", "ordered without an account"]


async def test_a_note_that_is_sent_twice_is_written_once(pool) -> None:
    ada = await make_customer(pool)
    by = Actor("desk", person="grace")
    ids = await asyncio.gather(*(add_note(pool, ada, "called", by) for _ in range(5)))
    assert len(set(ids)) == 1
    await add_note(pool, ada, "called", Actor("desk", person="joan"))
    await pool.execute("UPDATE billing_notes SET written_at = now() - interval '11 minutes'")
    await add_note(pool, ada, "called", by)
    assert [row["person"] for row in await list_notes(pool, ada)] == ["grace", "joan", "grace"]
    assert (
        await pool.fetchval("SELECT count(*) FROM billing_audit_log WHERE action = 'customer.note'")
        == 3
    )
