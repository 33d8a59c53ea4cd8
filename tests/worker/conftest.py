"""The scene and the outside world of provisioning, for workers of their own."""

from collections.abc import AsyncIterator

import pytest

from tests.provisioning.conftest import scene, world
from tests.provisioning.reference_server import ReferenceServer

__all__ = ["scene", "server", "world"]


@pytest.fixture
async def server() -> AsyncIterator[ReferenceServer]:
    async with ReferenceServer().running() as running:
        yield running
