"""`/v1/<resource>/search`: objects by a query."""

from typing import Any

from stripe.params import (
    ChargeSearchParams,
    CustomerSearchParams,
    InvoiceSearchParams,
    PaymentIntentSearchParams,
    PriceSearchParams,
    ProductSearchParams,
    SubscriptionSearchParams,
)

from stripe_sandbox.documents import ReadOnly, id_of
from stripe_sandbox.operations import Call, Handler, Operation, SearchResult
from stripe_sandbox.search import Field, Kind, Searchable, parse
from stripe_sandbox.supported import supports


def _field(path: str, kind: Kind) -> Field:
    """Return the field at a dotted path; an object in it counts as its id."""
    steps = path.split(".")

    def read(document: ReadOnly) -> Any:
        value: Any = document
        for step in steps:
            value = (value or {}).get(step)
        return id_of(value) if isinstance(value, dict) else value

    return Field(kind, read)


def _fields(**kinds: str) -> dict[str, Field]:
    """Return the fields of each kind: names in one text, separated by spaces."""
    return {
        name: _field(name, kind)  # type: ignore[arg-type]
        for kind, names in kinds.items()
        for name in names.split()
    }


def _refunded(charge: ReadOnly) -> str | None:
    """Return `true` for a charge that is refunded in full, `false` in part, None if not."""
    if not charge["amount_refunded"]:
        return None
    return "true" if charge["refunded"] else "false"


def _subscription(invoice: ReadOnly) -> str | None:
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    return id_of(details.get("subscription"))


CARD = ("brand", "exp_month", "exp_year", "fingerprint", "last4")
RESOURCES: dict[str, tuple[str, type, dict[str, Field]]] = {
    "charges": (
        "charge",
        ChargeSearchParams,
        {
            **_fields(
                number="amount created",
                exact="billing_details.address.postal_code currency customer disputed status "
                + " ".join(f"payment_method_details.card.{name}" for name in CARD),
            ),
            "refunded": Field("exact", _refunded),
        },
    ),
    "customers": (
        "customer",
        CustomerSearchParams,
        _fields(number="created", words="email name phone"),
    ),
    "invoices": (
        "invoice",
        InvoiceSearchParams,
        {
            **_fields(
                number="created total",
                words="number receipt_number",
                exact="currency customer status last_finalization_error.code "
                "last_finalization_error.type",
            ),
            "subscription": Field("exact", _subscription),
        },
    ),
    "payment_intents": (
        "payment_intent",
        PaymentIntentSearchParams,
        _fields(number="amount created", exact="currency customer status"),
    ),
    "prices": (
        "price",
        PriceSearchParams,
        _fields(words="lookup_key", exact="active currency product type"),
    ),
    "products": (
        "product",
        ProductSearchParams,
        _fields(words="description name url", exact="active shippable"),
    ),
    "subscriptions": (
        "subscription",
        SubscriptionSearchParams,
        _fields(number="canceled_at created", exact="status"),
    ),
}
"""By path: kind of object, params, and fields. Source: docs.stripe.com/search."""


def _search(kind: str, searchable: Searchable) -> Handler:
    def handle(call: Call) -> SearchResult:
        holds = parse(call.get("query"), searchable)
        found = call.world.store.newest_first(kind)
        return SearchResult((one for one in found if holds(one)), page=call.get("page"))

    return handle


OPERATIONS = tuple(
    Operation(
        "GET",
        f"/{path}/search",
        params,
        _search(kind, Searchable(path, fields)),
        supports("page", "query"),
    )
    for path, (kind, params, fields) in RESOURCES.items()
)
