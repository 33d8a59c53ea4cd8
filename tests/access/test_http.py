"""Keys over HTTP: which are accepted, and the errors for those that are not."""

import pytest

from mpanel_billing.access.key import make_key
from mpanel_billing.database.pool import Pool
from tests.access.conftest import ADMIN_KEY, BILLING_KEY, Clients, Issue, OpenApp, bearer
from tests.service import AppClient, make_app, make_settings

EVENTS = "/api/admin/events"
RETRY = "/api/admin/provisioning/retry"


async def test_a_key_of_the_database_opens_what_its_scopes_say(
    client: AppClient, issue: Issue
) -> None:
    reader, operator = await issue("admin:read"), await issue("admin")
    for key, method, path, status in [
        (reader, "GET", EVENTS, 200),
        (reader, "POST", RETRY, 403),
        (operator, "GET", EVENTS, 200),
        (operator, "POST", RETRY, 200),
    ]:
        answer = await client.request(method, path, headers=bearer(key.text))
        assert answer.status == status, (method, path)


async def test_the_scope_that_is_missing_is_named(client: AppClient) -> None:
    answer = await client.get(EVENTS, headers=bearer(BILLING_KEY))
    assert (answer.status, (await answer.json())["code"]) == (403, "scope_missing")
    assert '"admin:read"' in (await answer.json())["error"]
    assert answer.headers["WWW-Authenticate"] == (
        'Bearer realm="mpanel-billing", error="insufficient_scope", scope="admin:read"'
    )


async def test_without_a_key_the_answer_says_which_kind_is_needed(client: AppClient) -> None:
    answer = await client.get(EVENTS)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="mpanel-billing"'


async def test_a_mistyped_key_is_distinguished_from_an_unknown_one(
    client: AppClient, issue: Issue
) -> None:
    right = (await issue("admin")).text
    for given, said in [
        (right[:-1], "mistyped"),
        (make_key().text, "Unknown key"),
        ("x" * 32, "Unknown key"),
    ]:
        answer = await client.get(EVENTS, headers=bearer(given))
        assert answer.status == 401
        assert said in (await answer.json())["error"]
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_without_a_database_it_is_503_and_not_the_keys_fault(
    aiohttp_client: Clients,
) -> None:
    client = await aiohttp_client(make_app(make_settings(admin_api_keys=ADMIN_KEY)))
    answer = await client.get(EVENTS, headers=bearer(make_key().text))
    assert (answer.status, (await answer.json())["code"]) == (503, "database_unavailable")
    assert answer.headers["Retry-After"]
    for wrong in ("x" * 32, make_key().text[:-1]):
        assert (await client.get(EVENTS, headers=bearer(wrong))).status == 401


async def test_after_too_many_wrong_keys_no_new_one_of_that_address_is_looked_at(
    open_app: OpenApp, issue: Issue
) -> None:
    client = await open_app(rate_limit_wrong_keys="3/minute")
    known, later = await issue("admin"), await issue("admin:read")
    assert (await client.get(EVENTS, headers=bearer(known.text))).status == 200
    statuses = [
        (await client.get(EVENTS, headers=bearer(make_key().text))).status for _ in range(5)
    ]
    assert statuses == [401, 401, 401, 429, 429]
    refused = await client.get(EVENTS, headers=bearer(later.text))
    assert refused.status == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    # wrong keys must not lock out valid ones used before from the same address
    assert (await client.get(EVENTS, headers=bearer(known.text))).status == 200
    elsewhere = {**bearer(later.text), "X-Forwarded-For": "192.0.2.7"}
    assert (await client.get(EVENTS, headers=elsewhere)).status == 200


async def test_a_request_without_a_key_does_not_count_as_a_wrong_key(open_app: OpenApp) -> None:
    client = await open_app(rate_limit_wrong_keys="1/minute")
    assert {(await client.get(EVENTS)).status for _ in range(3)} == {401}


async def test_a_key_created_or_revoked_by_another_process_takes_effect_at_once(
    client: AppClient, open_app: OpenApp, issue: Issue, pool: Pool
) -> None:
    key = await issue("admin")
    assert (await client.get(EVENTS, headers=bearer(key.text))).status == 200
    await pool.execute("UPDATE billing_api_keys SET revoked_at = now()")
    fresh = await open_app()
    assert (await fresh.get(EVENTS, headers=bearer(key.text))).status == 401


@pytest.mark.parametrize(
    "given", ["", "mpb_", "ключ", "a b", "x" * 4000, "mpb_" + "0" * 200], ids=range(6)
)
async def test_no_text_sent_as_a_key_causes_a_500(client: AppClient, given: str) -> None:
    answer = await client.get(EVENTS, headers=bearer(given))
    assert answer.status == 401
