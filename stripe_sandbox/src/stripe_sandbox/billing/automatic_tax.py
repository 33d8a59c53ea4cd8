"""Automatic tax: which tax applies at a location, by a small table of rates."""

from collections.abc import Iterable
from dataclasses import dataclass

from stripe_sandbox.billing.tax_ids import tax_ids_of
from stripe_sandbox.billing.tax_locations import (
    Location,
    as_document,
    ip_address_of,
    locate,
    unknown_location,
)
from stripe_sandbox.billing.taxes import EXEMPT
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import ACCOUNT_COUNTRY, World

SETTINGS = "tax.settings"
KEPT = "_tax_settings"
REGISTRATION = "tax.registration"
MADE = "_automatic_rate"
"""Kind of the tax rates that automatic tax has made, by what they are for."""

EU = {
    "AT": 20, "BE": 21, "BG": 20, "CY": 19, "CZ": 21, "DE": 19, "DK": 25, "EE": 24, "ES": 21,
    "FI": 25.5, "FR": 20, "GR": 24, "HR": 25, "HU": 27, "IE": 23, "IT": 22, "LT": 21, "LU": 17,
    "LV": 21, "MT": 18, "NL": 21, "PL": 23, "PT": 23, "RO": 21, "SE": 25, "SI": 22, "SK": 23,
}  # fmt: skip
"""Standard rates of value added tax in the European Union, in percent, of 2026."""

OTHERS = {"AU": (10, "gst"), "CH": (8.1, "vat"), "GB": (20, "vat"), "NO": (25, "vat")}
STATES = {"CA": 7.25, "NY": 8.875, "TX": 8.25, "WA": 10.35}
"""Sales tax in the United States, one rate for a state."""

NAMES = {"gst": "GST", "sales_tax": "Sales Tax", "vat": "VAT"}
INFERRED = {"usd": "exclusive", "cad": "exclusive"}
"""Tax behaviors that `inferred_by_currency` stands for; of other currencies it is inclusive."""


@dataclass(frozen=True)
class Due:
    """What tax there is at a location: its percentage, and why nothing is to be paid, if so."""

    location: Location
    percentage: float
    tax_type: str
    reason: str | None


def due_at(
    world: World, location: Location, customer: ReadOnly, tax_ids: Iterable[ReadOnly] | None = None
) -> Due:
    """Return the tax of what the customer buys; `tax_ids` are theirs, unless given."""
    percentage, tax_type = _rate_at(location)
    if not is_registered(world, location):
        return Due(location, 0, tax_type, "not_collecting")
    held = tax_ids_of(world, customer["id"]) if tax_ids is None else tax_ids
    reason = EXEMPT.get(customer["tax_exempt"] or "none")
    if reason is None and _shifts(world, location, held):
        reason = "reverse_charge"
    return Due(location, percentage, tax_type, reason)


def _rate_at(location: Location) -> tuple[float, str]:
    if location.country in EU:
        return EU[location.country], "vat"
    if location.country == "US":
        return STATES.get(location.state or "", 0), "sales_tax"
    return OTHERS.get(location.country, (0, "vat"))


def _shifts(world: World, location: Location, tax_ids: Iterable[ReadOnly]) -> bool:
    """Return whether a business pays the tax itself: it is abroad, and has a tax id there."""
    home = (settings(world)["head_office"] or {"address": {}})["address"].get("country")
    if location.country in {home, "US"}:
        return False
    if location.country in EU:
        return any(one["type"] == "eu_vat" for one in tax_ids)
    return any(one["type"][:2].upper() == location.country for one in tax_ids)


def is_registered(world: World, location: Location) -> bool:
    """Return whether the account collects taxes at a location."""
    return any(
        status_of(world, registration) == "active" and _covers(registration, location)
        for registration in world.store.all(REGISTRATION)
    )


def status_of(world: World, registration: ReadOnly) -> str:
    """Return the status of a registration now."""
    now, end = world.now(), registration["expires_at"]
    if end is not None and end <= now:
        return "expired"
    return "active" if registration["active_from"] <= now else "scheduled"


def tax_of(world: World, customer: ReadOnly) -> Document:
    """Return a customer's `tax`: where they are, and what that means for automatic tax."""
    location = locate(world, customer)
    status = "unrecognized_location"
    if location:
        status = "supported" if is_registered(world, location) else "not_collecting"
    return {
        "automatic_tax": status,
        "ip_address": ip_address_of(world, customer),
        "location": as_document(location) if location else None,
        "provider": "stripe",
    }


def set_automatic_tax(world: World, subscription: Document, *, enabled: bool) -> None:
    """Turn automatic tax of a subscription on or off."""
    liability = {"type": "self"} if enabled else None
    subscription["automatic_tax"] = {
        "disabled_reason": None, "enabled": enabled, "liability": liability,
    }  # fmt: skip


def check_automatic_tax(world: World, subscription: ReadOnly) -> None:
    """Raise ApiError if a subscription cannot be taxed as it says: by a location, or by rates."""
    if not subscription["automatic_tax"]["enabled"]:
        return
    items = subscription["items"]["data"]
    if subscription["default_tax_rates"] or any(item["tax_rates"] for item in items):
        raise invalid("You cannot use tax rates together with automatic tax.")
    check_prices(world, [item["price"] for item in items])
    customer = world.find("customer", subscription["customer"])
    if locate(world, customer, subscription) is None:
        raise unknown_location()


def _covers(registration: ReadOnly, location: Location) -> bool:
    options = registration["country_options"][registration["country"].lower()]
    if options["type"].startswith("oss_"):
        return location.country in EU
    same = bool(registration["country"] == location.country)
    return same and options.get("state") in {None, location.state}


def settings(world: World) -> Document:
    """Return the account's tax settings."""
    kept = world.store.get(KEPT, SETTINGS)
    return kept or {
        "id": SETTINGS,
        "object": SETTINGS,
        "defaults": {"provider": "stripe", "tax_behavior": None, "tax_code": "txcd_10000000"},
        "head_office": {"address": {"country": ACCOUNT_COUNTRY, "state": "NY"}},
        "livemode": False,
        "status": "active",
        "status_details": {"active": {}},
    }


def behavior_of(world: World, price: ReadOnly | None, currency: str) -> str | None:
    """Return whether tax is `inclusive` or `exclusive`, by the price or the settings, if known."""
    said = price["tax_behavior"] if price else "unspecified"
    if said != "unspecified":
        return str(said)
    default: str | None = settings(world)["defaults"]["tax_behavior"]
    if default == "inferred_by_currency":
        return INFERRED.get(currency, "inclusive")
    return default


def check_prices(world: World, prices: Iterable[ReadOnly]) -> None:
    """Raise ApiError for a price of which nobody has said whether tax is included."""
    for price in prices:
        if behavior_of(world, price, price["currency"]) is None:
            raise invalid(
                f"The price `{price['id']}` does not have a `tax_behavior` set which is required "
                "for automatic tax computation. Please visit "
                "https://stripe.com/docs/tax/products-prices-tax-categories-tax-behavior"
                "#tax-behavior for more information."
            )


def rate_for(world: World, due: Due, behavior: str) -> Document:
    """Return the tax rate of a tax; it is made when it is first needed, and never active."""
    place = due.location
    state = place.state if place.country == "US" else None
    key = f"{place.country}:{state}:{due.percentage}:{behavior}"
    known = world.store.peek(MADE, key)
    if known:
        return world.find("tax_rate", known["tax_rate"])
    rate = world.add(
        {
            "id": world.ids.next("txr"),
            "object": "tax_rate",
            "active": False,
            "country": place.country,
            "created": world.now(),
            "display_name": NAMES[due.tax_type],
            "effective_percentage": due.percentage,
            "inclusive": behavior == "inclusive",
            "jurisdiction": state or place.country,
            "jurisdiction_level": "state" if state else "country",
            "livemode": False,
            "metadata": {},
            "percentage": due.percentage,
            "rate_type": "percentage",
            "state": state,
            "tax_type": due.tax_type,
        }
    )
    world.store.put(MADE, {"id": key, "tax_rate": rate["id"]})
    return rate
