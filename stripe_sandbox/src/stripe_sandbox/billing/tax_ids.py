"""Tax ids of customers and of the account: their formats, and how they are verified."""

import re
from collections.abc import Iterable

from stripe_sandbox.billing.later import drop_task, plan_task
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

KIND = "tax_id"
OF_CUSTOMER = "_tax_ids_of_customer"
"""Kind of the list of a customer's tax ids."""

VERIFIES = "verify_tax_id"
VERIFIED_TYPES = frozenset({"au_abn", "eu_vat", "gb_vat"})
"""Types that a government's database knows; of others nothing can be said."""

TEST_VALUES = {"000000000": "verified", "111111111": "unverified", "222222222": "pending"}
"""What comes of a value with these digits, from docs.stripe.com/billing/testing."""

EU_FORMATS = {
    "AT": r"U\d{8}", "BE": r"\d{10}", "BG": r"\d{9,10}", "CY": r"\d{8}[A-Z]", "CZ": r"\d{8,10}",
    "DE": r"\d{9}", "DK": r"\d{8}", "EE": r"\d{9}", "EL": r"\d{9}", "ES": r"[A-Z0-9]\d{7}[A-Z0-9]",
    "FI": r"\d{8}", "FR": r"[A-Z0-9]{2}\d{9}", "HR": r"\d{11}", "HU": r"\d{8}(\d{3})?",
    "IE": r"\d[A-Z0-9]\d{5}[A-Z]{1,2}", "IT": r"\d{11}", "LT": r"\d{9}(\d{3})?", "LU": r"\d{8}",
    "LV": r"\d{11}", "MT": r"\d{8}", "NL": r"\d{9}B\d{2}", "PL": r"\d{10}", "PT": r"\d{9}",
    "RO": r"\d{2,10}", "SE": r"\d{12}", "SI": r"\d{8}", "SK": r"\d{10}", "XI": r"\d{9}",
}  # fmt: skip
"""What follows the country in an `eu_vat`, without spaces and dots."""

FORMATS = {
    "au_abn": r"\d{11}", "br_cnpj": r"\d{14}", "br_cpf": r"\d{11}", "ca_bn": r"\d{9}",
    "ca_gst_hst": r"\d{9}RT\d{4}", "ca_qst": r"\d{10}TQ\d{4}", "ch_uid": r"CHE\d{9}",
    "ch_vat": r"CHE\d{9}(MWST|TVA|IVA)", "es_cif": r"[A-Z]\d{7}[A-Z0-9]",
    "gb_vat": r"(GB)?(\d{9}|\d{12})", "in_gst": r"\d{2}[A-Z0-9]{13}", "jp_cn": r"\d{13}",
    "kr_brn": r"\d{10}", "mx_rfc": r"[A-Z&]{3,4}\d{6}[A-Z0-9]{3}", "no_vat": r"\d{9}MVA",
    "nz_gst": r"\d{8,9}", "sg_gst": r"M[A-Z0-9]\d{7}[A-Z]", "th_vat": r"\d{13}",
    "us_ein": r"\d{9}", "za_vat": r"4\d{9}",
}  # fmt: skip
"""Of the other types the common ones, from docs.stripe.com/billing/customer/tax-ids."""


def make_tax_id(
    world: World, customer: ReadOnly | None, type_: str, value: str, param: str = "value"
) -> Document:
    """Store a tax id of a customer, or of the account; raises ApiError for a malformed value.

    Whether a customer's is valid is known a moment later.
    """
    tax_id = add_tax_id(world, customer, type_, value, param)
    if customer:
        world.announce("customer.tax_id.created", tax_id)
        if type_ in VERIFIED_TYPES and _outcome(world, tax_id) != "pending":
            plan_task(world, VERIFIES, tax_id, 0)
    return tax_id


def add_tax_id(
    world: World, customer: ReadOnly | None, type_: str, value: str, param: str
) -> Document:
    """Store a tax id without an event; raises ApiError for a malformed value."""
    if not _is_well_formed(type_, value):
        raise invalid(f"Invalid value for {type_}.", param=param, code="tax_id_invalid")
    customer_id = customer["id"] if customer else None
    owner = {"customer": customer_id, "type": "customer"} if customer else {"type": "self"}
    tax_id = world.add(
        {
            "id": world.ids.next("txi"),
            "object": KIND,
            "country": _country(type_, value),
            "created": world.time_of(customer) if customer else world.now(),
            "customer": customer_id,
            "livemode": False,
            "owner": owner,
            "type": type_,
            "value": value,
            "verification": _first_verification(world, type_) if customer else None,
        }
    )
    if customer:
        _keep(world, customer["id"], [*ids_of(world, customer["id"]), tax_id["id"]])
    return tax_id


def _first_verification(world: World, type_: str) -> Document | None:
    """Return what is known of a tax id at once; of some types nothing ever is."""
    if type_ in VERIFIED_TYPES:
        return {"status": "pending"}
    return {"status": "unavailable"} if world.choices.unknown_tax_ids == "unavailable" else None


def _compact(value: str) -> str:
    return re.sub(r"[\s./-]", "", value).upper()


def _is_well_formed(type_: str, value: str) -> bool:
    compact = _compact(value)
    if type_ in VERIFIED_TYPES and compact in TEST_VALUES:
        return True
    if type_ == "eu_vat":
        pattern = EU_FORMATS.get(compact[:2])
        return pattern is not None and bool(re.fullmatch(pattern, compact[2:]))
    return bool(re.fullmatch(FORMATS.get(type_, r".+"), compact))


def _country(type_: str, value: str) -> str | None:
    if type_ == "eu_oss_vat":
        return None
    if type_ != "eu_vat":
        return type_[:2].upper()
    prefix = _compact(value)[:2]
    return {"EL": "GR", "XI": "GB"}.get(prefix, prefix if prefix in EU_FORMATS else None)


def _outcome(world: World, tax_id: ReadOnly) -> str:
    digits = re.sub(r"\D", "", tax_id["value"])
    return TEST_VALUES.get(digits, world.choices.other_tax_ids)


def verify_tax_id(world: World, tax_id: Document) -> None:
    """Note what the government's database says; in test mode any value but three is valid."""
    tax_id["verification"]["status"] = _outcome(world, tax_id)
    world.change(tax_id, "customer.tax_id.updated")


def delete_tax_id(world: World, tax_id: ReadOnly) -> Document:
    """Delete a tax id and return what Stripe returns."""
    if tax_id["customer"]:
        kept = [one for one in ids_of(world, tax_id["customer"]) if one != tax_id["id"]]
        _keep(world, tax_id["customer"], kept)
        world.announce("customer.tax_id.deleted", tax_id)
    _forget(world, tax_id["id"])
    return {"id": tax_id["id"], "object": KIND, "deleted": True}


def drop_tax_ids(world: World, customer_id: str) -> None:
    """Delete the tax ids of a customer who is deleted, without events."""
    for tax_id in ids_of(world, customer_id):
        _forget(world, tax_id)
    _keep(world, customer_id, [])


def _forget(world: World, tax_id: str) -> None:
    drop_task(world, VERIFIES, tax_id)
    world.store.delete(KIND, tax_id)


def ids_of(world: World, customer_id: str) -> list[str]:
    """Return the ids of a customer's tax ids, oldest first."""
    kept = world.store.peek(OF_CUSTOMER, customer_id)
    return list(kept["tax_ids"]) if kept else []


def tax_ids_of(world: World, customer_id: str) -> list[Document]:
    """Return a customer's tax ids, newest first."""
    return [world.find(KIND, one) for one in reversed(ids_of(world, customer_id))]


def as_shown(tax_ids: Iterable[ReadOnly]) -> list[Document]:
    """Return tax ids as an invoice shows them."""
    return [{"type": one["type"], "value": one["value"]} for one in tax_ids]


def _keep(world: World, customer_id: str, tax_ids: list[str]) -> None:
    world.store.put(OF_CUSTOMER, {"id": customer_id, "tax_ids": tax_ids})
