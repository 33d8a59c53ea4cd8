"""The shipped catalogue, as a value and in a database."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.from_file import catalogue_of
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.settings import DatabaseSettings


@pytest.fixture(scope="session")
def shipped() -> CatalogueFile:
    """The catalogue file that is shipped."""
    return read_catalogue_file(DEFAULT_CATALOGUE)


@pytest.fixture(scope="session")
def make_catalogue() -> Callable[[CatalogueFile], Catalogue]:
    """Make the catalogue that the database would have after applying a file, without one."""
    return lambda file: catalogue_of(file, datetime.now(UTC))


@pytest.fixture(scope="session")
def catalogue(shipped: CatalogueFile) -> Catalogue:
    """The shipped catalogue as it is on sale, before any push."""
    return catalogue_of(shipped, datetime.now(UTC))


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to a migrated database without rows."""
    settings = DatabaseSettings(database_url=database_url)
    async with await create_pool(settings) as opened:
        yield opened
