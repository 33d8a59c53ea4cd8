"""What is billed by usage, from the catalogue file to the buyer."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.catalogue.drift import find_drift
from mpanel_billing.catalogue.file import CatalogueFileError, parse_catalogue
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import MeterChangedError, apply_catalogue
from mpanel_billing.catalogue.usage import Tier, usage_cost
from mpanel_billing.errors import ConflictError, InvalidRequestError
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.subscriptions.price_announcements import PriceMigration, announce_migration
from tests.messages.conftest import OPERATOR
from tests.usage.conftest import METERED, METERED_ORDER, Reporter

TIERS = 'usage.tiers = [{ up_to = 1000, unit_amount = "2.5" }, { unit_amount = 1 }]'


def problems(written: str, instead: str) -> list[str]:
    assert written in METERED
    text = DEFAULT_CATALOGUE.read_text() + METERED.replace(written, instead, 1)
    with pytest.raises(CatalogueFileError) as caught:
        parse_catalogue(text)
    lines = text.splitlines()
    found = [f"{'.'.join(map(str, one.path[2:]))}: {one.message}" for one in caught.value.problems]
    assert all(0 < one.line <= len(lines) for one in caught.value.problems)
    return found


@pytest.mark.parametrize(
    ("written", "instead", "problem"),
    [
        ('usage.meter = "space_gb"', 'usage.meter = "traffic_gb"', "usage.meter: 'traffic_gb' is"),
        ('usage.unit = "GB"', 'usage.unit = ""', "usage.unit: must not be empty"),
        ('["monthly"]', '["monthly", "triennially"]', "usage.terms.1: must be a year at most"),
        ('["monthly"]', "[]", "usage.terms: must not be empty"),
        (TIERS, "prices = { monthly = 1 }", "usage.tiers: is missing"),
        (TIERS, TIERS + "\nprices = { monthly = 1 }", ": needs either prices or usage"),
        (TIERS, TIERS + "\nmax_quantity = 2", "max_quantity: must be 1"),
        ("unit_amount = 1 }", "unit_amount = 0.5 }", "usage.tiers.1.unit_amount: must be minor"),
        ("unit_amount = 1 }", "unit_amount = -1 }", "usage.tiers.1.unit_amount: "),
        ("up_to = 1000", "up_to = 100", "usage.tiers.0.up_to: must be more than 100"),
        ("{ unit_amount = 1 }", "{ up_to = 2000, unit_amount = 1 }", "usage.tiers.1: the last"),
    ],
)
def test_what_is_wrong_is_said_by_its_field(written: str, instead: str, problem: str) -> None:
    (found,) = problems(written, instead)
    assert found.startswith(problem)


async def test_meters_and_tiers_are_pushed_once(reporter: Reporter) -> None:
    pool, gateway = reporter.service.pool, StripeCatalogue(reporter.gateway.client)
    again = await push_catalogue(pool, gateway, livemode=False)
    assert (again.created, again.updated, again.retired) == ([], [], [])
    assert await find_drift(pool, gateway, livemode=False) == []
    (price,) = [one for one in await gateway.list_active_prices() if len(one.terms.tiers) == 3]
    tiers = (Tier(100, Decimal(0)), Tier(1000, Decimal("2.5")), Tier(None, Decimal(1)))
    assert (price.terms.lookup_key, price.terms.tiers) == ("traffic_monthly_usd", tiers)

    dearer = METERED.replace('"2.5"', '"2.75"')
    await apply_catalogue(pool, parse_catalogue(DEFAULT_CATALOGUE.read_text() + dearer))
    assert (await push_catalogue(pool, gateway, livemode=False)).created == ["traffic_monthly_usd"]
    assert await find_drift(pool, gateway, livemode=False) == []


async def test_how_a_meter_adds_up_cannot_change(reporter: Reporter) -> None:
    pool, gateway = reporter.service.pool, StripeCatalogue(reporter.gateway.client)
    text = DEFAULT_CATALOGUE.read_text() + METERED
    meter = 'usage.meter = "traffic_gb"'
    latest = text.replace(meter, f'{meter}\nusage.aggregation = "last"')
    with pytest.raises(MeterChangedError, match="traffic_gb is sum"):
        await apply_catalogue(pool, parse_catalogue(latest))
    await gateway.create_meter("mails", "last", "Mails", "once")
    other = parse_catalogue(text.replace('"traffic_gb"', '"mails"'))
    await apply_catalogue(pool, other)
    with pytest.raises(ConflictError, match=r"mails .* whose aggregation is last"):
        await push_catalogue(pool, gateway, livemode=False)


async def test_a_buyer_is_told_what_a_unit_costs(reporter: Reporter) -> None:
    client = reporter.service.client
    quote = await (await client.post("/api/checkout/quote", json=METERED_ORDER)).json()
    assert (quote["dueToday"], quote["perTerm"]) == (799, 799)
    text = "100 GB included, then $0.025 per GB up to 1,000, then $0.01"
    lines = {line["code"]: line for line in quote["lines"]}
    assert lines["traffic"]["usage"] == {
        "meter": "traffic_gb",
        "unit": "GB",
        "included": 100,
        "tiers": [
            {"upTo": 100, "unitAmount": "0"},
            {"upTo": 1000, "unitAmount": "2.5"},
            {"upTo": None, "unitAmount": "1"},
        ],
        "text": text,
    }
    assert lines["space"]["usage"]["text"] == "$0.10 per GB"
    assert lines["starter"]["usage"] is None
    bridge = await (await client.get("/api/marketing-api/products/traffic")).json()
    assert bridge["data"]["billing_cycles"] == {"monthly": 0}
    assert bridge["data"]["usage"]["text"] == text
    assert [tier["unit_price"] for tier in bridge["data"]["usage"]["tiers"]] == [0, 0.025, 0.01]
    yearly = METERED_ORDER | {"billingCycle": "annually"}
    refused = await (await client.post("/api/checkout/quote", json=yearly)).json()
    assert (refused["code"], list(refused["fields"])) == ("cycle_not_sold", ["billingCycle"])


async def test_a_price_by_usage_is_not_migrated(reporter: Reporter, metered: str) -> None:
    pool = reporter.service.pool
    dearer = METERED.replace('"2.5"', '"2.75"')
    await apply_catalogue(pool, parse_catalogue(DEFAULT_CATALOGUE.read_text() + dearer))
    await push_catalogue(pool, StripeCatalogue(reporter.gateway.client), livemode=False)
    rows = await pool.fetch(
        "SELECT stripe_price_id FROM prices WHERE meter = 'traffic_gb' ORDER BY active"
    )
    old, new = (row[0] for row in rows)
    wanted = PriceMigration("traffic", old, new, datetime.now(UTC), 0)
    with pytest.raises(InvalidRequestError, match="billed by usage cannot be migrated"):
        await announce_migration(pool, wanted, OPERATOR, untold=True)
    assert await pool.fetchval("SELECT count(*) FROM billing_price_changes") == 0


AMOUNTS = st.decimals(0, 1000, places=3)


@given(
    bounds=st.lists(st.integers(1, 5000), max_size=4, unique=True),
    amounts=st.lists(AMOUNTS, min_size=5, max_size=5),
    quantity=st.integers(-100, 20_000),
)
def test_each_unit_costs_what_its_tier_says(
    bounds: list[int], amounts: list[Decimal], quantity: int
) -> None:
    ends = [*sorted(bounds), None]
    tiers = [Tier(end, amount) for end, amount in zip(ends, amounts, strict=False)]
    counted: dict[int, int] = {}
    for unit in range(1, quantity + 1):
        place = sum(unit > bound for bound in bounds)
        counted[place] = counted.get(place, 0) + 1
    expected = sum(
        int((tiers[place].unit_amount * units + Decimal("0.5")) // 1)
        for place, units in counted.items()
    )
    assert usage_cost(tiers, quantity, "usd") == expected
