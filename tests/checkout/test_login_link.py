"""The success page sends buyers to log in where the host says."""

from typing import Any

import pytest

from mpanel_billing.settings import Settings
from tests.service import Service, make_settings

PANEL = "https://panel.example.com/login?from=billing"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        mpanel_login_url=PANEL,
    )


async def test_the_login_link_is_that_of_the_setting(
    service: Service, order_a: dict[str, Any]
) -> None:
    page = await service.order(order_a)
    answer = await service.client.get(f"/api/checkout/session/{page['sessionId']}")
    assert (await answer.json())["loginUrl"] == PANEL
