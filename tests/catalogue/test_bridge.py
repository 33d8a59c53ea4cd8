"""The marketing site's older pages get exactly the fields that they read."""

import json
from collections.abc import Callable

import pytest

from mpanel_billing.catalogue.bridge import plans_body, product_body, products_body
from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.errors import NotFoundError
from mpanel_billing.resources import DEFAULT_CATALOGUE


def test_a_plan_shows_its_prices_in_dollars_and_its_terms(catalogue: Catalogue) -> None:
    response = plans_body(catalogue, "usd")
    assert (response["currency"], response["currencies"]) == ("usd", ("usd",))
    assert set(response) == {"plans", "currency", "currencies"}
    [starter] = [plan for plan in response["plans"] if plan["id"] == "starter"]
    assert starter == {
        "id": "starter",
        "name": "Starter",
        "description": "One site of your own, with room to grow.",
        "monthly_price": 7.99,
        "annual_price": 29.88,
        "features": ["1 website", "25 GB SSD storage", "Free SSL certificate", "Weekly backups"],
        "billing": [
            {
                "term": term,
                "label": label,
                "months": months,
                "priceId": f"starter_{term}_usd",
            }
            for term, label, months in [
                ("monthly", "Monthly", 1),
                ("annually", "Yearly", 12),
                ("biennially", "Every two years", 24),
                ("triennially", "Every three years", 36),
            ]
        ],
    }
    assert [plan["id"] for plan in response["plans"]] == list(catalogue.plans)


def test_a_product_shows_the_cycles_that_it_is_sold_for(catalogue: Catalogue) -> None:
    assert product_body(catalogue, "usd", "addon-ssl-premium") == {
        "success": True,
        "data": {
            "id": "addon-ssl-premium",
            "name": "Premium SSL Certificate",
            "category": "addons",
            "description": "A certificate that names your organisation, with a warranty.",
            "billing_cycles": {"annual": 9.99, "biennial": 19.98, "triennial": 29.97},
            "features": [],
            "resources": {},
            "usage": None,
            "is_active": True,
            "display_order": 110,
        },
        "meta": {"currency": "usd", "currencies": ("usd",)},
    }


@pytest.mark.parametrize(
    ("category", "total"),
    [(None, 13), ("", 13), ("hosting", 4), ("wordpress", 1), ("addons", 6), ("none", 0)],
)
def test_products_are_listed_by_category(
    catalogue: Catalogue, category: str | None, total: int
) -> None:
    response = products_body(catalogue, "usd", category)
    assert response["success"] is True
    assert response["meta"] == {"total": total, "currency": "usd", "currencies": ("usd",)}
    assert len(response["data"]) == total
    orders = [product["display_order"] for product in response["data"]]
    assert orders == sorted(orders)


@pytest.mark.parametrize("code", ["gold", "", "domain-com"])
def test_an_unknown_product_is_not_found(catalogue: Catalogue, code: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        product_body(catalogue, "usd", code)
    assert caught.value.code == "product_not_found"


def test_every_price_in_json_has_the_decimals_of_the_price_list(catalogue: Catalogue) -> None:
    for plan in plans_body(catalogue, "usd")["plans"]:
        price = catalogue.plans[plan["id"]].price_for("monthly", "usd")
        assert price is not None
        assert round(json.loads(json.dumps(plan["monthly_price"])) * 100) == price.unit_amount


def test_terms_that_the_bridge_does_not_know_are_only_among_the_billing_terms(
    make_catalogue: Callable[[CatalogueFile], Catalogue],
) -> None:
    text = DEFAULT_CATALOGUE.read_text()
    text = text.replace("{ monthly = 150, annually = 1440 }", "{ quarterly = 420 }")
    catalogue = make_catalogue(parse_catalogue(text))
    [plan] = [plan for plan in plans_body(catalogue, "usd")["plans"] if plan["id"] == "mail-basic"]
    assert (plan["monthly_price"], plan["annual_price"]) == (None, None)
    assert [billing["term"] for billing in plan["billing"]] == ["quarterly"]
    assert product_body(catalogue, "usd", "mail-basic")["data"]["billing_cycles"] == {}
