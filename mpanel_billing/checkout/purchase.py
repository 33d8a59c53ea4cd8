"""A checked order on its way to a payment page."""

import hashlib
import json
from dataclasses import dataclass

from mpanel_billing.catalogue.order import Order, PricedOrder
from mpanel_billing.checkout.buyer import Buyer
from mpanel_billing.checkout.return_urls import ReturnUrls


@dataclass(frozen=True, slots=True)
class Purchase:
    """Who wants what for how much, and where the browser goes afterwards."""

    buyer: Buyer
    order: Order
    priced: PricedOrder
    return_urls: ReturnUrls


def fingerprint(purchase: Purchase) -> bytes:
    """Return what two purchases share when they are the same order by the same buyer (rule 11).

    The prices are part of it: after a change of the catalogue, the same wish is another order.
    """
    order = purchase.order
    canonical = {
        "email": purchase.buyer.email.lower(),
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
