"""A purchase as the rows that record it before it is paid."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from mpanel_billing import money
from mpanel_billing.catalogue.order import OrderLine
from mpanel_billing.checkout.purchase import Purchase

Row = dict[str, Any]

LARGEST_PRICE = Decimal("99999999.99")
"""What mPanel's column `price` holds; `amount` beside it is exact."""


def order_metadata(purchase: Purchase) -> Row:
    """Return `subscriptions.metadata`: what was ordered, in the words that mPanel reads."""
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
    if further:
        metadata["furtherDomains"] = [domain.ascii for domain in further if domain]
    return metadata


def subscription_row(purchase: Purchase, id_: UUID, customer_id: UUID, *, livemode: bool) -> Row:
    """Return the provisional subscription; `amount` is minor units a term, before discounts."""
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
    """Return what is charged every term."""
    return [
        {
            "price_id": line.price.id,
            "stripe_price_id": line.price.stripe_price_id,
            "quantity": line.quantity,
            "unit_amount": line.price.unit_amount,
            "currency": line.price.currency,
        }
        for line in purchase.priced.lines
        if line.recurring
    ]


def charge_rows(purchase: Purchase) -> list[Row]:
    """Return what is charged once, and the coupon where it has to wait for the end of a trial.

    A coupon without a trial is on the session itself.
    """
    priced = purchase.priced
    rows = [_one_time_row(line) for line in priced.lines if not line.recurring]
    if priced.coupon and priced.trial_days:
        rows.append(
            {
                "kind": "discount",
                "code": priced.coupon.code,
                "description": priced.coupon.name,
                "price_id": None,
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
        "amount": line.amount,
        "currency": line.price.currency,
        "state": "with_checkout" if line.when == "at_checkout" else "waiting",
    }
