"""The demo storefront: a small shop and success page over the public API, in dev mode only."""

from pathlib import Path

from aiohttp import hdrs, web

from mpanel_billing.catalogue.currencies import choose_currency
from mpanel_billing.catalogue.cycles import BILLING_CYCLES
from mpanel_billing.catalogue.model import Catalogue, Product
from mpanel_billing.checkout.checkout import load_offers
from mpanel_billing.http import keys
from mpanel_billing.http.schemas.quotes import UsagePriceSchema

routes = web.RouteTableDef()

FILES = Path(__file__).parents[2] / "dev" / "storefront"
_ASSETS = {
    "storefront.css": "text/css",
    "marks.js": "text/javascript",
    "money.js": "text/javascript",
    "answers.js": "text/javascript",
    "shop.js": "text/javascript",
    "success.js": "text/javascript",
    "unpaid.js": "text/javascript",
    "words.js": "text/javascript",
}
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
    ),
    hdrs.CACHE_CONTROL: "no-cache",
}


@routes.get("/demo")
async def show_shop(_: web.Request) -> web.StreamResponse:
    """Show what is on sale."""
    return web.FileResponse(FILES / "shop.html", headers=_PAGE_HEADERS)


@routes.get("/demo/success")
@routes.get("/checkout/success")
async def show_success(_: web.Request) -> web.StreamResponse:
    """Show an order as it becomes ready."""
    return web.FileResponse(FILES / "success.html", headers=_PAGE_HEADERS)


@routes.get("/")
@routes.get("/pricing")
async def go_to_shop(_: web.Request) -> web.Response:
    """Redirect buyers who left the payment page, or followed a link to the panel."""
    raise web.HTTPFound("/demo")


@routes.get("/demo/assets/{name}")
async def get_asset(request: web.Request) -> web.StreamResponse:
    """Serve one of the pages' files."""
    name = request.match_info["name"]
    if name not in _ASSETS:
        raise web.HTTPNotFound
    headers = _PAGE_HEADERS | {hdrs.CONTENT_TYPE: f"{_ASSETS[name]}; charset=utf-8"}
    return web.FileResponse(FILES / name, headers=headers)


@routes.get("/demo/extras")
async def list_extras(request: web.Request) -> web.Response:
    """List what the public plans leave out: terms, trials, add-ons, top-level domains."""
    checkout = request.app[keys.CHECKOUT]
    catalogue = await load_offers(checkout)
    currency = choose_currency(catalogue, request.query.get("currency"))
    behavior = _tax_behavior(catalogue, currency) if checkout.terms.taxed else None
    extras = {"taxBehavior": behavior, **_extras(catalogue, currency)}
    return web.json_response(extras, headers={hdrs.CACHE_CONTROL: "no-store"})


def _tax_behavior(catalogue: Catalogue, currency: str) -> str | None:
    """Return whether prices in a currency contain the taxes; None: nobody has said it of all."""
    prices = [price for plan in catalogue.plans.values() for price in plan.prices]
    said = {price.tax_behavior for price in prices if price.currency == currency}
    return said.pop() if len(said) == 1 else None


def _extras(catalogue: Catalogue, currency: str) -> dict[str, object]:
    return {
        "currency": currency,
        "plans": {
            plan.code: {"trialDays": plan.trial_days, "prices": _prices(plan, currency)}
            for plan in catalogue.plans.values()
        },
        "addons": [
            {
                "id": addon.code,
                "name": addon.name,
                "prices": _prices(addon, currency),
                "usage": _usage(addon, currency),
            }
            for addon in catalogue.addons.values()
            if addon.cycles_in(currency)
        ],
        "topLevelDomains": [
            tld for tld, sold in catalogue.domains.items() if sold.price_for(None, currency)
        ],
        "coupons": [one.code for one in catalogue.coupons if one.in_currency(currency)],
        "cycles": [{"id": cycle.code, "label": cycle.label} for cycle in BILLING_CYCLES.values()],
    }


def _prices(product: Product, currency: str) -> dict[str, int]:
    """Return the price of each term on sale, in minor units."""
    return {
        price.billing_cycle: price.unit_amount
        for price in product.prices
        if price.billing_cycle and price.currency == currency
    }


def _usage(addon: Product, currency: str) -> dict[str, object] | None:
    """Return what a unit costs of an add-on that is billed by usage, as a quote says it."""
    price = next((p for p in addon.prices if p.tiers and p.currency == currency), None)
    if addon.usage is None or price is None:
        return None
    return UsagePriceSchema.of(addon.usage, price).model_dump(by_alias=True)
