"""Provisioning and its outside world, for workers in processes of their own."""

from collections.abc import AsyncIterator

import pytest

from tests.provisioning.conftest import system, world
from tests.provisioning.reference_server import ReferenceServer

__all__ = ["server", "system", "world"]


@pytest.fixture
async def server() -> AsyncIterator[ReferenceServer]:
    async with ReferenceServer().running() as running:
        yield running
