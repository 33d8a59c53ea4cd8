"""`/v1/tax/settings`, `/v1/tax/registrations` and `/v1/tax_codes`."""

from stripe.params import TaxCodeListParams, TaxCodeRetrieveParams
from stripe.params.tax import (
    RegistrationCreateParams,
    RegistrationListParams,
    RegistrationRetrieveParams,
    RegistrationUpdateParams,
    SettingsRetrieveParams,
    SettingsUpdateParams,
)

from stripe_sandbox import shapes
from stripe_sandbox.billing.automatic_tax import KEPT, REGISTRATION, settings, status_of
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import missing_param, no_such
from stripe_sandbox.operations import Call, Listing, Operation
from stripe_sandbox.supported import one_of, supports
from stripe_sandbox.world import differences

CODES = {
    "txcd_00000000": ("Nontaxable", "Any nontaxable good or service."),
    "txcd_10000000": ("General - Electronically Supplied Services",
                      "A digital service provided mainly through the internet."),
    "txcd_10103001": ("Software as a service (SaaS) - business use",
                      "Software that is accessed online, for business."),
    "txcd_10701100": ("Website Hosting", "Hosting of websites on servers of the seller."),
    "txcd_20030000": ("General - Services", "Any service that has no category of its own."),
    "txcd_99999999": ("General - Tangible Goods", "Any good that has no category of its own."),
}  # fmt: skip
"""A few of Stripe's categories of products: name and description."""


def retrieve_settings(call: Call) -> Document:
    """Return the account's tax settings."""
    return _as_sent(settings(call.world))


def _as_sent(kept: Document) -> Document:
    return shapes.complete({name: value for name, value in kept.items() if name != "id"})


def update_settings(call: Call) -> Document:
    """Update the account's tax settings."""
    world, kept = call.world, settings(call.world)
    before = _as_sent(settings(world))
    kept["defaults"] |= call.get("defaults", {})
    if call.get("head_office"):
        kept["head_office"] = {"address": dict(call.get("head_office")["address"])}
    world.store.put(KEPT, kept)
    previous = differences(before, _as_sent(kept))
    world.announce("tax.settings.updated", _as_sent(kept), previous=previous)
    return _as_sent(kept)


def _code(code: str) -> Document:
    name, description = CODES[code]
    return {"id": code, "object": "tax_code", "description": description, "name": name,
            "requirements": None}  # fmt: skip


def list_codes(_: Call) -> Listing:
    """List the tax codes."""
    return Listing([_code(one) for one in CODES])


def retrieve_code(call: Call) -> Document:
    """Return a tax code."""
    if call.id not in CODES:
        raise no_such("tax code", call.id)
    return _code(call.id)


def register(call: Call) -> Document:
    """Note that the account collects taxes in a country from a time on."""
    world, country = call.world, call.params["country"].upper()
    options = call.params["country_options"].get(country.lower())
    if options is None:
        raise missing_param(f"country_options[{country.lower()}]")
    now = world.now()
    given = call.params["active_from"]
    active_from = now if given == "now" else int(given)
    registration = world.add(
        {
            "id": world.ids.next("taxreg"),
            "object": REGISTRATION,
            "active_from": active_from,
            "country": country,
            "country_options": {country.lower(): options},
            "created": now,
            "expires_at": call.get("expires_at"),
            "livemode": False,
            "status": "active",
        }
    )
    return _with_status(call, registration)


def _with_status(call: Call, registration: ReadOnly) -> Document:
    return {**registration, "status": status_of(call.world, registration)}


def retrieve_registration(call: Call) -> Document:
    """Return a registration."""
    return _with_status(call, call.world.find(REGISTRATION, call.id))


def list_registrations(call: Call) -> Listing:
    """List registrations, by their status now."""
    wanted = call.get("status", "all")
    found = (_with_status(call, one) for one in call.world.store.newest_first(REGISTRATION))
    return Listing([one for one in found if wanted in {"all", one["status"]}])


def change_registration(call: Call) -> Document:
    """End a registration, now or at a time."""
    registration, expires_at = call.world.find(REGISTRATION, call.id), call.get("expires_at")
    registration["expires_at"] = call.world.now() if expires_at == "now" else expires_at
    return _with_status(call, call.world.save(registration))


OF_EU = supports("type")
STANDARD = supports(type=one_of("standard"))
COUNTRIES = supports(
    **dict.fromkeys(("at", "de", "es", "fr", "ie", "it", "nl"), OF_EU),
    **dict.fromkeys(("au", "ch", "gb", "no"), STANDARD),
    us=supports("state", type=one_of("state_sales_tax")),
)
ADDRESS = supports("city", "country", "line1", "line2", "postal_code", "state")
REGISTRATIONS = "/tax/registrations"

OPERATIONS = (
    Operation("GET", "/tax/settings", SettingsRetrieveParams, retrieve_settings),
    Operation(
        "POST",
        "/tax/settings",
        SettingsUpdateParams,
        update_settings,
        supports("defaults", head_office=supports(address=ADDRESS)),
    ),
    Operation("GET", "/tax_codes", TaxCodeListParams, list_codes),
    Operation("GET", "/tax_codes/{id}", TaxCodeRetrieveParams, retrieve_code),
    Operation(
        "POST",
        REGISTRATIONS,
        RegistrationCreateParams,
        register,
        supports("active_from", "country", "expires_at", country_options=COUNTRIES),
    ),
    Operation("GET", REGISTRATIONS, RegistrationListParams, list_registrations, supports("status")),
    Operation(
        "GET",
        f"{REGISTRATIONS}/{{id}}",
        RegistrationRetrieveParams,
        retrieve_registration,
    ),
    Operation(
        "POST",
        f"{REGISTRATIONS}/{{id}}",
        RegistrationUpdateParams,
        change_registration,
        supports("expires_at"),
    ),
)
