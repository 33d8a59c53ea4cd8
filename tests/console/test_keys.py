"""API keys in the console: made, rolled and revoked, none wider than the session's own."""

import re
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.key import Limits, Scope
from mpanel_billing.access.keys import IssuedKey, create_key, list_keys
from mpanel_billing.settings import Settings
from tests.console.conftest import KEY, Console, Shown, make_console, signed_in
from tests.roles import WEB_ROLE
from tests.service import AppClient, Service

WHOLE = re.compile(r"mpb_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}")
READING = {"name": "panel", "days": "30", "scope admin:read": "yes"}


async def make(console: Console, **fields: str) -> Shown:
    shown = await console.open("/console/keys/new")
    return await console.post("/console/keys/new", shown, **(READING | fields))


async def issue(service: Service, *scopes: Scope, name: str = "old", **limits: Any) -> IssuedKey:
    return await create_key(
        service.pool, Actor("test"), name=name, scopes=scopes, limits=Limits(**limits)
    )


async def told(service: Service) -> list[tuple[str, str, str]]:
    rows = await service.pool.fetch(
        "SELECT action, person, target_id FROM billing_audit_log WHERE action LIKE 'key.%'"
        " AND person IS NOT NULL ORDER BY id"
    )
    return [tuple(row) for row in rows]


async def test_a_key_is_shown_once_and_does_what_was_said(console: Console) -> None:
    path = "/console/keys/new?name=panel&days=30&scope+admin:read=yes&networks=127.0.0.0/8"
    shown = await console.open(path)
    assert "admin:read : read what operators see" in shown.text
    assert "Only from 127.0.0.0/8." in shown.text
    assert "It works until" in shown.text
    made = await make(console, networks="127.0.0.0/8", refunds_per_day="500")
    assert made.status == 200
    assert made.headers["Cache-Control"] == "no-store"
    [key] = WHOLE.findall(made.html)
    assert await told(console.service) == [("key.create", "ada.lovelace", key[:14])]
    listed = await console.open("/console/keys")
    assert key not in listed.html
    assert f"panel {key[:14]}" in listed.text
    assert "At most 500 minor units refunded a day" in listed.text
    [row] = await list_keys(console.service.pool)
    assert (row["expires_at"] - row["created_at"]).days == 30
    desk = Console(console.service)
    assert (await desk.sign_in(key)).status == 303
    assert (await desk.open("/console/find")).status == 200


async def test_a_form_that_is_sent_twice_makes_one_key(console: Console) -> None:
    assert (await make(console)).status == 200
    again = await make(console)
    assert (again.status, "A key named panel exists already" in again.text) == (409, True)
    assert WHOLE.search(again.html) is None
    assert len(await list_keys(console.service.pool)) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "a b"}, "is not a valid name"),
        ({"scope admin:read": ""}, "A key needs a scope"),
        ({"days": ""}, "for how many days"),
        ({"days": "0"}, "is not a whole number from 1 to 3650"),
        ({"days": "9" * 5000}, "is not a whole number from 1 to 3650"),
        ({"days": "²"}, "is not a whole number"),
        ({"networks": "10.1.2.3/16"}, "has host bits set"),
        ({"calls_per_minute": "-1"}, "is not a whole number from 1"),
    ],
    ids=["name", "scopes", "no days", "days", "digits", "superscript", "network", "calls"],
)
async def test_what_cannot_be_a_key_is_a_sentence_before_and_after(
    console: Console, fields: dict[str, str], said: str
) -> None:
    refused = await make(console, **fields)
    assert (refused.status, said in refused.text) == (422, True), refused.text
    assert "What happens" not in refused.text
    assert await list_keys(console.service.pool) == []


async def test_a_session_gives_no_scope_that_its_own_key_lacks(service: Service) -> None:
    desk = await signed_in(service, "admin:keys", "admin:read")
    form = await desk.open("/console/keys/new")
    offered = set(re.findall(r'name="scope ([^"]+)"', form.html))
    assert offered == {"admin:keys", "admin:read"}
    for scope in ("admin", "billing:refund", "admin:operate"):
        refused = await make(desk, **{f"scope {scope}": "yes"})
        assert (refused.status, f"lacks the scope {scope}" in refused.text) == (403, True)
    stronger = await issue(service, "billing", name="panel-backend")
    roll = await desk.open(f"/console/keys/{stronger.id}/roll")
    assert (roll.status, "lacks the scope billing" in roll.text) == (403, True)
    forged = await desk.post(f"/console/keys/{stronger.id}/roll", form, hours="0")
    assert (forged.status, WHOLE.search(forged.html)) == (403, None)
    assert {row["state"] for row in await list_keys(service.pool)} == {"valid"}
    assert (await make(desk)).status == 200


async def test_a_limited_key_gives_no_way_around_its_limits(service: Service) -> None:
    limited = Limits(refunds_per_day=100)
    capped = await signed_in(service, "admin:keys", "admin:read", name="capped", limits=limited)
    refused = await make(capped)
    assert (refused.status, "a way around it" in refused.text) == (403, True)
    local = Limits(networks=(ip_network("127.0.0.0/8"),))
    near = await signed_in(service, "admin:keys", "admin:read", name="near", limits=local)
    for networks in ("", "10.0.0.0/8", "127.0.0.1, 0.0.0.0/0", "::1"):
        refused = await make(near, networks=networks)
        assert (refused.status, "is for 127.0.0.0/8 only" in refused.text) == (403, True), networks
    assert (await make(near, networks="127.0.0.1, 127.1.0.0/16")).status == 200


async def test_a_key_is_rolled_and_the_old_one_works_on(console: Console) -> None:
    service = console.service
    old = await issue(service, "admin:read", networks=(ip_network("127.0.0.0/8"),))
    path = f"/console/keys/{old.id}/roll"
    shown = await console.open(path)
    assert f"The old key, {old.id}, works until" in shown.text
    rolled = await console.post(path, shown, hours=shown.field("hours"))
    [key] = WHOLE.findall(rolled.html)
    first, second = await list_keys(service.pool)
    assert (first["replaced_by"], second["id"]) == (key[:14], key[:14])
    for name in ("name", "scopes", "networks", "calls_per_minute", "refunds_per_day"):
        assert first[name] == second[name]
    assert round((first["expires_at"] - second["created_at"]).total_seconds()) == 24 * 3600
    assert second["expires_at"] - second["created_at"] == old.expires_at - first["created_at"]
    for text in (old.text, key):
        assert (await Console(service).sign_in(text)).status == 303
    assert await told(service) == [("key.roll", "ada.lovelace", key[:14])]
    again = await console.post(path, shown, hours="24")
    assert (again.status, f"{key[:14]} is in use" in again.text) == (409, True)
    assert path not in (await console.open("/console/keys")).links


async def test_a_key_is_rolled_without_an_overlap(console: Console) -> None:
    service = console.service
    old = await issue(service, "admin:read")
    shown = await console.open(f"/console/keys/{old.id}/roll?hours=0")
    assert "stops working within 5 seconds" in shown.text
    assert "1 hours" not in shown.text
    rolled = await console.post(f"/console/keys/{old.id}/roll", shown, hours="0")
    [key] = WHOLE.findall(rolled.html)
    assert (await Console(service).sign_in(old.text)).status == 401
    assert (await Console(service).sign_in(key)).status == 303


async def test_who_rolls_their_own_key_is_told_that_the_session_ends(service: Service) -> None:
    desk = await signed_in(service, "admin:keys", "admin:read")
    [row] = await list_keys(service.pool)
    shown = await desk.open(f"/console/keys/{row['id']}/roll?hours=0")
    assert "the key of your own session" in shown.text
    rolled = await desk.post(f"/console/keys/{row['id']}/roll", shown, hours="0")
    [key] = WHOLE.findall(rolled.html)
    assert (await desk.open("/console/keys")).status == 303
    assert (await desk.sign_in(key)).status == 303


async def test_a_key_is_revoked_with_its_sessions(service: Service, console: Console) -> None:
    desk = await signed_in(service, "admin:read")
    [row] = await list_keys(service.pool)
    path = f"/console/keys/{row['id']}/revoke"
    assert path in (await console.open("/console/keys")).links
    done = await console.confirm(path)
    assert done.headers["Location"].endswith("done=key_revoked")
    assert (await desk.open("/console/find")).status == 303
    assert path not in (await console.open("/console/keys?all=yes")).links
    assert (await console.open("/console/keys/mpb_0000000000/revoke")).status == 404


async def test_without_the_rights_in_the_database_the_console_makes_no_keys(
    settings: Settings, aiohttp_client: Callable[..., Awaitable[AppClient]], console: Console
) -> None:
    service = console.service
    old = await issue(service, "admin:read")
    client = await aiohttp_client(make_console(settings, WEB_ROLE))
    narrow = Console(
        Service(client, service.sandbox, service.stripe, service.pool, service.settings)
    )
    assert (await narrow.sign_in(KEY)).status == 303
    listed = await narrow.open("/console/keys")
    assert "may not change keys" in listed.text
    assert not {one for one in listed.links if one.endswith(("/new", "/roll", "/revoke"))}
    page = await narrow.open("/console/preferences")
    for path in ("new", f"{old.id}/roll", f"{old.id}/revoke"):
        shown = await narrow.open(f"/console/keys/{path}")
        assert (shown.status, "database grants --keys" in shown.text) == (403, True)
        assert (await narrow.post(f"/console/keys/{path}", page, **READING)).status == 403
    assert [row["state"] for row in await list_keys(service.pool)] == ["valid"]
