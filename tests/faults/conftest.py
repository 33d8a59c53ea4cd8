from collections.abc import AsyncIterator

import pytest

from tests.faults.deployment import Deployment, open_deployment
from tests.faults.reliability_document import ReliabilityDocument


@pytest.fixture
async def deployment(database_url: str) -> AsyncIterator[Deployment]:
    """A deployment with its own database on the shared server."""
    async with open_deployment(database_url) as opened:
        yield opened


@pytest.fixture
def document(request: pytest.FixtureRequest) -> ReliabilityDocument:
    """Writes the test's rows of docs/reliability.md."""
    return ReliabilityDocument(request.node.name)
