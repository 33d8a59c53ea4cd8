from collections.abc import AsyncIterator

import pytest

from tests.faults.ledger import Ledger
from tests.faults.town import Town, open_town


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    """A town on a database of its own, on the server that all tests share."""
    async with open_town(database_url) as opened:
        yield opened


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """Keeps what the test has seen, in docs/reliability.md."""
    return Ledger(request.node.name)
