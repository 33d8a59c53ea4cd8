import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.reliability_document import ReliabilityDocument
from tests.ha.cluster import Cluster, open_cluster

_TAIL_LINES = 30


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    """All hosts, for all tests: they have to survive each of them."""
    async with open_cluster(Path(os.environ["HA_FOLDER"])) as opened:
        yield opened


@pytest.fixture
def document(request: pytest.FixtureRequest) -> ReliabilityDocument:
    """Writes the test's rows of docs/reliability.md."""
    return ReliabilityDocument(request.node.originalname)
