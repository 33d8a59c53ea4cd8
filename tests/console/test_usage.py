"""What a subscription has used, and a limit that an operator lifts."""

from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.console.conftest import KEY, Console
from tests.console.test_pages import audited
from tests.inline_worker import InlineWorker
from tests.usage.conftest import METERED_ORDER, metered_file, record


async def test_usage_is_shown_and_its_limit_lifted_for_the_term(
    console: Console, gateway: StripeGateway, worker: InlineWorker
) -> None:
    service = console.service
    await apply_catalogue(service.pool, metered_file())
    await push_catalogue(service.pool, StripeCatalogue(gateway.client), livemode=False)
    bought = (await service.buy(METERED_ORDER | {"customer": OTHER}))["subscriptionId"]
    page = f"/console/subscriptions/{bought}"
    early = await console.open(f"{page}/lift-usage")
    assert (early.status, "No usage limit" in early.text) == (409, True)
    answer = await service.client.post(
        "/api/billing/usage",
        json={"records": [record("a", bought, 5001)]},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    assert answer.status == 200
    await worker.catch_up()
    shown = await console.open(page)
    assert "Traffic traffic_gb 5,001 GB 100 included 5,000" in shown.text
    assert f"{page}/lift-usage" in shown.links
    lifting = await console.open(f"{page}/lift-usage")
    assert "Traffic: 5,001 of 5,000 GB are used" in lifting.text
    without = await console.post(f"{page}/lift-usage", lifting, reason=" ")
    assert (without.status, "Please say why" in without.text) == (422, True)
    other = await console.post(f"{page}/lift-usage", lifting, meters="space_gb", reason="a gift")
    assert (other.status, "The preview is outdated" in other.text) == (409, True)
    done = await console.post(f"{page}/lift-usage", lifting, reason="a campaign")
    assert done.headers["Location"] == f"{page}?done=usage_lifted"
    after = await console.open(page)
    assert "limit lifted" in after.text
    assert f"{page}/lift-usage" not in after.links
    assert await audited(service, "usage.lift") == [("ada.lovelace", bought, "done")]


OTHER = {"name": "Grace Hopper", "email": "grace@example.com"}
