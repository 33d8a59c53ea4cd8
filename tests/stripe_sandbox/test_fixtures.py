"""A sandbox filled from a file in the format of `stripe fixtures`."""

import asyncio
import json
import subprocess
import sys

import pytest
from aiohttp import ClientResponseError

from stripe_sandbox import SandboxConfig, running_sandbox
from stripe_sandbox.client import SandboxClient
from stripe_sandbox.fixtures import FixtureError

SHOP = {
    "_meta": {"template_version": 0},
    "fixtures": [
        {"name": "plan", "path": "/v1/products", "method": "post", "params": {"name": "Hosting"}},
        {
            "name": "price",
            "path": "/v1/prices",
            "params": {
                "product": "${plan:id}",
                "currency": "usd",
                "unit_amount": 900,
                "recurring": {"interval": "month"},
                "metadata": {"of": "the ${plan:name} plan, ${.env:NOT_SET_HERE|free}"},
            },
        },
        {
            "name": "ada",
            "path": "/v1/customers",
            "params": {
                "email": "ada@example.com",
                "payment_method": "pm_card_visa",
                "invoice_settings": {"default_payment_method": "pm_card_visa"},
            },
        },
        {
            "name": "running",
            "path": "/v1/subscriptions",
            "params": {"customer": "${ada:id}", "items": [{"price": "${price:id}"}]},
        },
        {
            "name": "item",
            "path": "/v1/subscription_items/${running:items.data.[0].id}",
            "method": "get",
        },
        {"name": "clock", "path": "/_sandbox/clock", "method": "get"},
        {
            "name": "refused",
            "path": "/v1/products/prod_none",
            "method": "get",
            "expected_error_type": "invalid_request_error",
        },
    ],
}


async def test_entries_refer_to_earlier_ones(driver, api):
    made = await driver.load_fixtures(SHOP)
    subscription = await api.v1.subscriptions.retrieve_async(made["running"]["id"])
    assert subscription.status == "active"
    assert subscription.customer == made["ada"]["id"]
    assert made["item"]["id"] == subscription["items"].data[0].id
    assert made["price"]["metadata"] == {"of": "the Hosting plan, free"}
    assert made["clock"]["now"] >= subscription.created


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"name": "a", "path": "/v1/customers/cus_none", "method": "get"}, "a: expected success: "),
        ({"name": "a", "path": "/v1/customers/${b:id}"}, "a: ${b:id} does not exist"),
        ({"name": "a"}, "fixtures.0.path: Field required"),
        (
            {"name": "a", "path": "/v1/customers", "expected_error_type": "card_error"},
            "a: expected card_error: it succeeded",
        ),
    ],
)
async def test_what_fails_is_named(driver, tmp_path, entry, sentence):
    with pytest.raises(ClientResponseError, match="400"):
        await driver.load_fixtures({"fixtures": [entry]})
    file = tmp_path / "shop.json"
    file.write_text(json.dumps({"fixtures": [entry]}))
    with pytest.raises(FixtureError) as caught:
        async with running_sandbox(SandboxConfig(fixtures=file)):
            pass
    assert str(caught.value).startswith(f"{file}: {sentence}")


async def test_a_sandbox_with_objects_is_left_as_it_is(tmp_path):
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(SHOP))
    config = SandboxConfig(fixtures=file, state_file=tmp_path / "state.sqlite")
    for _ in range(2):
        async with running_sandbox(config) as sandbox, SandboxClient(sandbox.url) as driver:
            made = await driver.requests(method="POST")
            assert len(list(sandbox.world.store.all("subscription"))) == 1
    assert made == []


async def test_a_file_that_is_not_there_is_one_line(unused_tcp_port):
    command = [sys.executable, "-m", "stripe_sandbox", f"--port={unused_tcp_port}"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, "--fixtures", "none.json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "stripe-sandbox: none.json: No such file or directory\n",
    )
