"""A client with an operator's key."""

from collections.abc import Awaitable, Callable

import pytest

from tests.service import AppClient, make_app, make_settings

KEY = "k" * 32
HEADERS = {"Authorization": f"Bearer {KEY}"}
Clients = Callable[..., Awaitable[AppClient]]


@pytest.fixture
async def client(database_url: str, aiohttp_client: Clients) -> AppClient:
    """The app on a database of its own, with two operator's keys."""
    settings = make_settings(database_url=database_url, admin_api_keys=f"{'o' * 32},{KEY}")
    return await aiohttp_client(make_app(settings))
