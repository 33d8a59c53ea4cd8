"""A purchase: a valid, priced order and its buyer; and the rows that record it before payment."""

import hashlib
import json
from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from mpanel_billing import money
from mpanel_billing.catalogue.order import Order, OrderLine, PricedOrder
from mpanel_billing.checkout.buyer import Buyer, ExistingCustomer
from mpanel_billing.checkout.return_urls import ReturnUrls
from mpanel_billing.languages import ENGLISH

Row = dict[str, Any]

LARGEST_PRICE = Decimal("99999999.99")
"""The maximum of mPanel's column `price`; `amount` is exact."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """Who buys what at what price, and where the browser goes afterwards.

    `existing` is None for a buyer whose identity is unproven. `browser_id` is the browser that
    ordered, by our cookie; None for mPanel's backend. `language` is what the payment page says
    of ours in.
    """

    buyer: Buyer
    order: Order
    priced: PricedOrder
    return_urls: ReturnUrls
    existing: ExistingCustomer | None = None
    browser_id: UUID | None = None
    language: str = ENGLISH

    @property
    def buyer_key(self) -> str:
        """The advisory lock that serializes the buyer's orders."""
        return str(self.existing.id) if self.existing else self.buyer.email


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key for its request, and a hash of the request."""

    key: str
    request_hash: bytes


def fingerprint(purchase: Purchase) -> bytes:
    """Return a hash that is equal for the same order by the same buyer (rule 11).

    It covers the prices: after a catalogue change it is another order. It covers whether mPanel
    identified the customer: nobody else may get a page that offers their saved cards. It covers all
    that the buyer entered: an e-mail address and a plan do not lead to the page of their order.
    """
    order, buyer = purchase.order, purchase.buyer
    canonical = {
        "email": buyer.email.lower(),
        "buyer": [buyer.name, buyer.phone, buyer.company, *astuple(buyer.address)],
        "tax id": astuple(buyer.tax_id) if buyer.tax_id else None,
        "urls": astuple(purchase.return_urls),
        "known": str(purchase.existing.id) if purchase.existing else None,
        "plan": order.plan_code,
        "cycle": order.billing_cycle,
        "currency": order.currency,
        "trial": order.trial,
        "addons": sorted(set(order.addon_codes)),
        "domains": [(domain.mode, domain.ascii) for domain in order.domains],
        "coupon": order.coupon_code,
        "prices": sorted(str(line.price.id) for line in purchase.priced.lines),
        "quantities": sorted(order.quantities.items()),
    }
    return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).digest()


def order_metadata(purchase: Purchase) -> Row:
    """Return `subscriptions.metadata`: what was ordered, under mPanel's keys."""
    order, priced = purchase.order, purchase.priced
    first, *further = order.domains or (None,)
    metadata = {
        "planId": order.plan_code,
        "billingCycle": order.billing_cycle,
        "trialActive": priced.trial_days > 0,
        "addonIds": list(order.addon_codes),
        "domainMode": first.mode if first else "later",
        "domainValue": first.ascii if first else "",
        "customerEmail": purchase.buyer.email,
        "productTypes": list(priced.product_types),
        "couponCode": priced.coupon.code if priced.coupon else None,
    }
    if first and first.unicode != first.ascii:
        metadata["domainUnicode"] = first.unicode
    if priced.free_domain:
        metadata["freeDomain"] = True
    if further:
        metadata["furtherDomains"] = [domain.ascii for domain in further if domain]
    return metadata


def customer_row(purchase: Purchase, id_: UUID, subscription_id: UUID) -> Row:
    """Return the new customer who comes with an order."""
    buyer, address = purchase.buyer, purchase.buyer.address
    return {
        "id": id_,
        "email": buyer.email,
        "name": buyer.name,
        "company_name": buyer.company,
        "phone": buyer.phone,
        "address_line1": address.line1,
        "address_line2": address.line2,
        "city": address.city,
        "state": address.state,
        "postal_code": address.postcode,
        "country": address.country,
        "currency": purchase.priced.currency.upper(),
        "first_subscription_id": subscription_id,
    }


def subscription_row(purchase: Purchase, id_: UUID, customer_id: UUID, *, livemode: bool) -> Row:
    """Return the provisional subscription; `amount` is in minor units a term, before discounts."""
    priced = purchase.priced
    price = money.to_decimal(priced.recurring_total, priced.currency)
    return {
        "id": id_,
        "customer_id": customer_id,
        "product_id": priced.plan.id,
        "livemode": livemode,
        "currency": priced.currency,
        "amount": priced.recurring_total,
        "price": min(price, LARGEST_PRICE),
        "billing_cycle": priced.billing_cycle,
        "metadata": order_metadata(purchase),
    }


def item_rows(purchase: Purchase) -> list[Row]:
    """Return the line items charged every term."""
    return [
        {
            "price_id": line.price.id,
            "stripe_price_id": line.price.stripe_price_id,
            "quantity": None if line.metered else line.quantity,
            "unit_amount": line.price.unit_amount,
            "currency": line.price.currency,
        }
        for line in purchase.priced.lines
        if line.recurring
    ]


def charge_rows(purchase: Purchase) -> list[Row]:
    """Return the one-time charges, and the coupon if it has to wait for the end of a trial.

    Without a trial the coupon is on the session.
    """
    priced = purchase.priced
    rows = [_one_time_row(line) for line in priced.lines if not line.recurring]
    if priced.coupon and priced.trial_days:
        rows.append(
            {
                "kind": "discount",
                "code": priced.coupon.redeemed_by or priced.coupon.code,
                "description": priced.coupon.name,
                "price_id": None,
                "domain": None,
                "amount": None,
                "currency": None,
                "state": "waiting",
            }
        )
    return [{**row, "position": position} for position, row in enumerate(rows)]


def _one_time_row(line: OrderLine) -> Row:
    return {
        "kind": "one_time",
        "code": line.code,
        "description": line.name,
        "price_id": line.price.id,
        "domain": line.domain,
        "amount": line.amount,
        "currency": line.price.currency,
        "state": "with_checkout" if line.when == "at_checkout" else "waiting",
    }
