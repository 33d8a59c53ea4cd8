"""An order on its way to payment, on mPanel's own schema with its triggers and defaults."""

import pytest

from tests.checkout.test_create_session import *  # noqa: F403 - the same tests, on another database
from tests.mpanel.conftest import Clone


@pytest.fixture
def database_url(clone: Clone) -> str:
    return clone("mpanel_migrated_empty")
