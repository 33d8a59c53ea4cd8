"""What the payment page asks for beside the payment: addresses, a tax id, a business's name."""

from collections.abc import Iterable, Mapping

from stripe_sandbox.billing.automatic_tax import EU
from stripe_sandbox.billing.buyers import Buyer
from stripe_sandbox.billing.cart import Cart
from stripe_sandbox.billing.cart_taxes import is_located, payer_at_page
from stripe_sandbox.billing.tax_ids import ids_of
from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.hosted.card_form import read_address
from stripe_sandbox.hosted.html import Field
from stripe_sandbox.hosted.problems import FormError
from stripe_sandbox.world import World

TAX_ID_TYPES: Mapping[str, str] = {
    **dict.fromkeys(EU, "eu_vat"),
    "AU": "au_abn",
    "CA": "ca_gst_hst",
    "CH": "ch_vat",
    "GB": "gb_vat",
    "JP": "jp_cn",
    "NO": "no_vat",
    "NZ": "nz_gst",
    "US": "us_ein",
    "ZA": "za_vat",
}
"""The type of tax id that the page takes in a country; others take none."""

BILLING = (
    Field("billingAddressLine1", "address-line1", "hint.street", "text"),
    Field("billingLocality", "address-level2", "hint.city", "text"),
    Field("billingPostalCode", "postal-code", "12345", "text"),
    Field("billingCountry", "country", "US", "text"),
)
SHIPPING = (
    Field("shippingName", "shipping name", "hint.name", "text"),
    Field("shippingAddressLine1", "shipping address-line1", "hint.street", "text"),
    Field("shippingLocality", "shipping address-level2", "hint.city", "text"),
    Field("shippingPostalCode", "shipping postal-code", "12345", "text"),
    Field("shippingCountry", "shipping country", "US", "text"),
)
TAX_ID = (
    Field("businessName", "organization", "hint.company", "text"),
    Field("taxId", "off", "DE123456789", "text"),
)


def fields_asked(world: World, session: ReadOnly) -> Iterable[Field]:
    """Return the fields that the page has beside those of the payment."""
    taxed = session["automatic_tax"]["enabled"]
    if taxed or collects_tax_id(world, session) or _always_asks(session):
        yield from BILLING
    if session["shipping_address_collection"]:
        yield from SHIPPING
    if collects_tax_id(world, session):
        yield from TAX_ID


def _always_asks(session: ReadOnly) -> bool:
    return bool(session["billing_address_collection"] == "required")


def collects_tax_id(world: World, session: ReadOnly) -> bool:
    """Return whether the page asks for a tax id; a customer who has one is not asked again."""
    if not (session["tax_id_collection"] or {}).get("enabled"):
        return False
    return not (session["customer"] and ids_of(world, session["customer"]))


def read_details(world: World, session: ReadOnly, form: Mapping[str, str]) -> Buyer:
    """Return the buyer as far as the fields beside the payment tell of them."""
    details = Buyer(address=read_address(form), shipping=_read_shipping(session, form))
    if not collects_tax_id(world, session):
        return details
    kind, value = TAX_ID_TYPES.get(_country(details)), form.get("taxId", "").strip()
    return Buyer(
        address=details.address,
        shipping=details.shipping,
        tax_id={"type": kind, "value": value} if kind and value else None,
        business_name=form.get("businessName", "").strip() or None,
    )


def _read_shipping(session: ReadOnly, form: Mapping[str, str]) -> ReadOnly | None:
    if not session["shipping_address_collection"]:
        return None
    address = read_address(form, "shipping")
    name = form.get("shippingName", "").strip() or form.get("billingName", "").strip()
    return {"address": address, "name": name, "phone": None} if address else None


def _country(buyer: Buyer) -> str:
    """Return the country of the buyer: where they are shipped to, or else billed."""
    places = ((buyer.shipping or {}).get("address"), buyer.address)
    return next((place["country"] for place in places if place and place["country"]), "")


def check_details(world: World, session: ReadOnly, cart: Cart, buyer: Buyer) -> None:
    """Raise FormError for addresses and a tax id that the session needs and does not have."""
    wrong = {}
    collection = session["shipping_address_collection"]
    if collection and buyer.shipping is None:
        wrong["shippingAddressLine1"] = "wrong.shippingAddress"
    elif collection and buyer.shipping:
        country = buyer.shipping["address"]["country"]
        if country not in collection["allowed_countries"]:
            wrong["shippingCountry"] = "wrong.shippingCountry"
    if cart.automatic_tax:
        payer = payer_at_page(world, session, buyer, cart.customer_update)
        if not is_located(world, payer):
            wrong["billingCountry"] = "wrong.address"
    required = (session["tax_id_collection"] or {}).get("required") == "if_supported"
    asked = required and collects_tax_id(world, session) and _country(buyer) in TAX_ID_TYPES
    if asked and buyer.tax_id is None:
        wrong["taxId"] = "wrong.taxId"
    if wrong:
        raise FormError(wrong)
