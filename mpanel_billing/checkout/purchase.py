"""A checked order on its way to a payment page."""

import hashlib
import json
from dataclasses import dataclass
from uuid import UUID

from mpanel_billing.catalogue.order import Order, PricedOrder
from mpanel_billing.checkout.buyer import Buyer
from mpanel_billing.checkout.return_urls import ReturnUrls


@dataclass(frozen=True, slots=True)
class KnownCustomer:
    """A customer of our books for whom mPanel's backend vouches.

    `stripe_customer_id` is her principal Stripe customer, None where she has none to run on.
    """

    id: UUID
    stripe_customer_id: str | None


@dataclass(frozen=True, slots=True)
class Purchase:
    """Who wants what for how much, and where the browser goes afterwards.

    `known` is None for a buyer who has proved nothing.
    """

    buyer: Buyer
    order: Order
    priced: PricedOrder
    return_urls: ReturnUrls
    known: KnownCustomer | None = None

    @property
    def buyer_key(self) -> str:
        """Name the buyer, for orders of hers to take turns."""
        return str(self.known.id) if self.known else self.buyer.email


def fingerprint(purchase: Purchase) -> bytes:
    """Return what two purchases share when they are the same order by the same buyer (rule 11).

    The prices are part of it: after a change of the catalogue, the same wish is another order. So
    is who vouches for the buyer: nobody else gets a page that offers her saved cards.
    """
    order = purchase.order
    canonical = {
        "email": purchase.buyer.email.lower(),
        "known": str(purchase.known.id) if purchase.known else None,
        "plan": order.plan_code,
        "cycle": order.billing_cycle,
        "currency": order.currency,
        "trial": order.trial,
        "addons": sorted(set(order.addon_codes)),
        "domains": [(domain.mode, domain.ascii) for domain in order.domains],
        "coupon": order.coupon_code,
        "prices": sorted(str(line.price.id) for line in purchase.priced.lines),
    }
    return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).digest()
