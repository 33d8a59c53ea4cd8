"""From the mirror to the accounts, on mPanel's own schema with its triggers and defaults."""

import pytest

from tests.mpanel.conftest import Clone
from tests.provisioning.conftest import system, world  # noqa: F401 - fixtures
from tests.provisioning.test_converge import *  # noqa: F403 - the same tests, on another database


@pytest.fixture
def database_url(clone: Clone) -> str:
    return clone("mpanel_migrated_empty")
