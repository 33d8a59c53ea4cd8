"""The params of Stripe's customer and Checkout session.

A pure function of the purchase: the params are stored before they are sent, and sent as stored,
because Stripe's idempotency keys require identical params.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from mpanel_billing.catalogue.order import OrderLine, PricedOrder
from mpanel_billing.checkout.buyer import Buyer, Place
from mpanel_billing.checkout.page_texts import submit_message
from mpanel_billing.checkout.purchase import Purchase, order_metadata
from mpanel_billing.checkout.tax_ids import TaxId
from mpanel_billing.errors import BillingError
from mpanel_billing.mirror.reading import ATTEMPT_METADATA_KEY, ORDER_METADATA_KEY
from mpanel_billing.stripe_gateway.subscriptions import redeeming

Params = dict[str, Any]

LONGEST_METADATA_VALUE = 500
LONGEST_STRIPE_PHONE = 20

_BUYERS_OWN = frozenset({"customerEmail"})
"""Metadata that Stripe has a field for."""


class CatalogueNotPushedError(BillingError):
    """Stripe does not have what is being ordered; the operator has to run `catalog push`.

    `missing` is the lookup key of the price, or the coupon, or what the catalogue does not say.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "catalogue_not_pushed"

    def __init__(self, missing: str) -> None:
        """Keep `missing`; the buyer does not see it."""
        super().__init__(
            "This offer is not available right now. Please try again later.", retry_after=60
        )
        self.missing = missing


@dataclass(frozen=True, slots=True)
class PaymentTerms:
    """How buyers may pay, from the settings; `taxed`: Stripe adds up the taxes."""

    methods: Sequence[str]
    adaptive_pricing: bool
    taxed: bool = False


def customer_params(buyer: Buyer, subscription_id: UUID, customer_id: UUID) -> Params:
    """Return the params of the order's Stripe customer."""
    phone = buyer.phone if len(buyer.phone or "") <= LONGEST_STRIPE_PHONE else None
    return _present(
        {
            "email": buyer.email,
            # the name is what invoices are made out to
            "name": buyer.company or buyer.name,
            "phone": phone,
            "address": _address_params(buyer),
            "tax_id_data": [buyer.tax_id.as_params()] if buyer.tax_id else None,
            "metadata": {
                ORDER_METADATA_KEY: str(subscription_id),
                "customerId": str(customer_id),
                **_contact(buyer),
            },
        }
    )


def _contact(buyer: Buyer) -> dict[str, str]:
    """Return who orders for a company."""
    if not buyer.company:
        return {}
    named = {"company": buyer.company, "contact": buyer.name or ""}
    return {key: text[:LONGEST_METADATA_VALUE] for key, text in named.items() if text}


def _address_params(buyer: Buyer) -> Params:
    address = buyer.address
    return _present(
        {
            "line1": address.line1,
            "line2": address.line2,
            "city": address.city,
            "state": address.state,
            "postal_code": address.postcode,
            "country": address.country,
        }
    )


def session_params(
    purchase: Purchase, terms: PaymentTerms, subscription_id: UUID, attempt: int
) -> Params:
    """Return the params of the session, except its customer, who does not exist yet.

    It stays open for 24 hours, Stripe's default: an expiry of ours would have to agree with
    Stripe's clock, and would have passed when an attempt is resumed late.

    Under a trial only recurring lines are on the session: Stripe charges anything else at once, so
    that waits in subscription_charges (rule 10). CatalogueNotPushedError if a price or the coupon
    has not been pushed to Stripe.
    """
    priced = purchase.priced
    metadata = _stripe_metadata(purchase, subscription_id, attempt)
    params: Params = {
        "mode": "subscription",
        "client_reference_id": str(subscription_id),
        "line_items": _line_items(purchase),
        "metadata": metadata,
        # how changes are prorated; Stripe's default has changed before
        "subscription_data": {"billing_mode": {"type": "flexible"}, "metadata": metadata},
        "success_url": purchase.return_urls.success,
        "cancel_url": purchase.return_urls.cancel,
        # a recovery link would bring back what is counted after its place has gone to another order
        "after_expiration": {"recovery": {"enabled": not priced.limited}},
        "adaptive_pricing": {"enabled": terms.adaptive_pricing},
        "allowed_payment_method_types": list(terms.methods),
    }
    redeemed = _redeemed(priced)
    if priced.trial_days:
        params["subscription_data"]["trial_period_days"] = priced.trial_days
    elif redeemed:
        params["discounts"] = [redeeming(redeemed)]
    params |= _card_params(priced)
    if terms.taxed:
        params |= _taxes(purchase)
    if message := submit_message(purchase):
        params["custom_text"] = {"submit": {"message": message}}
    return params


def _card_params(priced: PricedOrder) -> Params:
    """Return when the page asks for a card: before a trial always, if nothing is due not at all."""
    if not priced.subtotal and not priced.plan.card_required:
        return {"payment_method_collection": "if_required"}
    return {"payment_method_collection": "always"} if priced.trial_days else {}


def _taxes(purchase: Purchase) -> Params:
    """Return what has Stripe compute taxes, and ask for what it needs to.

    What buyers type is kept of a customer who is made for the order. The name of one whom mPanel
    vouches for is theirs, and Stripe takes a tax id only with the name; the portal takes it too.
    An order with a company and its tax id leaves neither to be asked: the holder of the card must
    not take the company's place on the invoice.
    """
    for line in purchase.priced.lines:
        if line.price.tax_behavior is None:
            raise CatalogueNotPushedError(f"the tax_behavior of {line.price.lookup_key}")
    asked: Params = {
        "automatic_tax": {"enabled": True},
        "billing_address_collection": "required",
        "customer_update": {"address": "auto"},
    }
    buyer = purchase.buyer
    if purchase.existing is None and not (buyer.company and buyer.tax_id):
        asked["customer_update"]["name"] = "auto"
        asked["tax_id_collection"] = {"enabled": True}
    return asked


def first_invoice_params(priced: PricedOrder, place: Place, tax_id: TaxId | None = None) -> Params:
    """Return the params of a preview of the first invoice that is paid, for a buyer at a place.

    CatalogueNotPushedError if a price or the coupon has not been pushed to Stripe.
    """
    for line in priced.lines:
        if line.price.stripe_price_id is None:
            raise CatalogueNotPushedError(line.price.lookup_key)
    items = [(line.recurring, _priced(line)) for line in priced.lines]
    address = {"country": place.country, "state": place.state, "postal_code": place.postcode}
    params: Params = {
        "customer_details": {"address": _present(address)},
        "subscription_details": {"items": [item for recurring, item in items if recurring]},
        "invoice_items": [item for recurring, item in items if not recurring],
    }
    if tax_id:
        params["customer_details"]["tax_ids"] = [tax_id.as_params()]
    if priced.coupon:
        params["discounts"] = [redeeming(_redeemed(priced) or "")]
    return params


def _priced(line: OrderLine) -> Params:
    """Return the params of a line; what is billed by usage has no quantity."""
    priced: Params = {"price": line.price.stripe_price_id}
    return priced if line.metered else priced | {"quantity": line.quantity}


def _line_items(purchase: Purchase) -> list[Params]:
    sold_now = [
        line for line in purchase.priced.lines if line.recurring or line.when == "at_checkout"
    ]
    for line in purchase.priced.lines:
        if line.price.stripe_price_id is None:
            raise CatalogueNotPushedError(line.price.lookup_key)
    return [_priced(line) for line in sold_now]


def _redeemed(priced: PricedOrder) -> str | None:
    coupon = priced.coupon
    if coupon and coupon.redeemed_by is None:
        raise CatalogueNotPushedError(coupon.code)
    return coupon.redeemed_by if coupon else None


def _stripe_metadata(purchase: Purchase, subscription_id: UUID, attempt: int) -> dict[str, str]:
    """Return the order's metadata as Stripe accepts it: short strings."""
    return {
        ORDER_METADATA_KEY: str(subscription_id),
        ATTEMPT_METADATA_KEY: str(attempt),
        **metadata_texts(order_metadata(purchase)),
    }


def metadata_texts(metadata: Mapping[str, object]) -> dict[str, str]:
    """Return what Stripe is told of an order: as short strings, and nothing about its buyer."""
    written = {key: _as_text(value) for key, value in metadata.items() if key not in _BUYERS_OWN}
    return {key: text[:LONGEST_METADATA_VALUE] for key, text in written.items() if text}


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _present(params: Params) -> Params:
    return {key: value for key, value in params.items() if value not in (None, {})}
