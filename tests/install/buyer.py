"""A buyer on the marketing site, who only sees what nginx lets through."""

import asyncio
import itertools
from typing import Any

import aiohttp

from stripe_sandbox.client import SandboxClient
from tests.faults.deployment import order_of
from tests.service import CREATE_SESSION

_numbers = itertools.count(1000)


async def order(url: str) -> dict[str, Any]:
    """Order a plan; return the response."""
    async with (
        aiohttp.ClientSession() as browser,
        browser.post(url + CREATE_SESSION, **order_of(next(_numbers))) as response,
    ):
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer


async def buy(url: str, stripe: SandboxClient) -> str:
    """Order, pay, and wait for the tenant; return the id of the session."""
    placed = await order(url)
    paid = await stripe.pay(placed["url"])
    assert paid.status == 303, paid
    await wait_until_active(url, placed["sessionId"])
    return str(placed["sessionId"])


async def wait_until_active(url: str, session_id: str) -> None:
    """Follow the success page until the tenant is ready."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as browser:
        while True:
            async with browser.get(f"{url}/api/checkout/session/{session_id}?wait=5") as response:
                page = await response.json()
                assert response.status == 200, page
            if page["status"] == "active":
                return
            await asyncio.sleep(0.2)
