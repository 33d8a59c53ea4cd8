"""What Stripe is asked for to bill an ended customer again: values in, params out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.reading import ATTEMPT_METADATA_KEY, ORDER_METADATA_KEY, Fields

Terms = tuple[str | None, int | None]


def revival_params(
    ended: Mapping[str, Any],
    successor_id: UUID,
    *,
    paid_until: datetime | None,
    now: datetime,
    without_discounts: bool,
) -> dict[str, Any]:
    """Return the params of a subscription with the same items, discounts and taxes.

    `ended` is Stripe's object, with its discounts expanded. It is billed from `paid_until`; None:
    now. ConflictError for what Stripe cannot be asked for again.
    """
    fields = Fields(ended)
    items = fields.children("items")
    params: dict[str, Any] = {
        "customer": fields.reference("customer"),
        "items": [_item(item, now, without_discounts=without_discounts) for item in items],
        "metadata": _metadata(ended, successor_id),
        "payment_behavior": "error_if_incomplete",
        **_discounts(fields, now, without_discounts=without_discounts),
        **_taxes(fields),
        **_mode(fields),
        **_payment(fields),
    }
    return params | _billing_start(items, paid_until)


def _metadata(ended: Mapping[str, Any], successor_id: UUID) -> dict[str, Any]:
    metadata = dict(ended.get("metadata") or {})
    metadata.pop(ATTEMPT_METADATA_KEY, None)
    return metadata | {ORDER_METADATA_KEY: str(successor_id)}


def _item(item: Fields, now: datetime, *, without_discounts: bool) -> dict[str, Any]:
    params: dict[str, Any] = {"price": item.reference("price")}
    if (quantity := item.whole("quantity")) is not None:
        params["quantity"] = quantity
    if rates := _references(item, "tax_rates"):
        params["tax_rates"] = rates
    return params | _discounts(item, now, without_discounts=without_discounts)


def _references(fields: Fields, key: str) -> list[str]:
    """Return the ids of the objects in an array, which may be expanded."""
    listed = fields.values.get(key) or []
    return [each["id"] if isinstance(each, dict) else each for each in listed]


def _discounts(owner: Fields, now: datetime, *, without_discounts: bool) -> dict[str, Any]:
    """Return the discounts that go on, each by its coupon, which Stripe starts again."""
    if without_discounts:
        return {}
    coupons = [coupon for each in owner.children("discounts") if (coupon := _coupon(each, now))]
    return {"discounts": [{"coupon": coupon} for coupon in coupons]} if coupons else {}


def _coupon(discount: Fields, now: datetime) -> str | None:
    """Return the coupon of a discount; None if it has ended, or was for one invoice."""
    holder = discount.child("source") if discount.child("source").values else discount
    coupon, ends_at = holder.child("coupon"), discount.moment("end")
    if coupon.text("duration") == "once" or (ends_at is not None and ends_at <= now):
        return None
    if ends_at is not None:
        raise ConflictError(
            f"Its discount {coupon.text('name') or holder.reference('coupon')} ends on"
            f" {ends_at:%Y-%m-%d}, and Stripe would start it over. Revive without discounts, and"
            " give what was agreed at Stripe.",
            code="discount_not_copyable",
        )
    return holder.reference("coupon")


def _taxes(fields: Fields) -> dict[str, Any]:
    params: dict[str, Any] = {}
    if rates := _references(fields, "default_tax_rates"):
        params["default_tax_rates"] = rates
    if fields.child("automatic_tax").flag("enabled"):
        params["automatic_tax"] = {"enabled": True}
    return params


def _mode(fields: Fields) -> dict[str, Any]:
    """Return how prorations are computed; without it Stripe takes its default."""
    mode = fields.child("billing_mode").text("type")
    return {"billing_mode": {"type": mode}} if mode else {}


def _payment(fields: Fields) -> dict[str, Any]:
    """Return how it is paid.

    The customer's default payment method is likely newer than that of what has ended.
    """
    params: dict[str, Any] = {}
    own = fields.child("customer", "invoice_settings").reference("default_payment_method")
    if own is None and (method := fields.reference("default_payment_method")):
        params["default_payment_method"] = method
    if fields.text("collection_method") == "send_invoice":
        due = {"days_until_due": fields.whole("days_until_due")}
        return params | {"collection_method": "send_invoice"} | due
    return params


def _billing_start(items: Sequence[Fields], paid_until: datetime | None) -> dict[str, Any]:
    """Bill from then on; None: now.

    One anchor is for all items: those of different terms were paid until different times.
    """
    if paid_until is None:
        return {}
    if len({_terms(item) for item in items}) > 1:
        raise ConflictError(
            "Its items have different terms, and Stripe bills all of them from one date. Revive"
            f" after {paid_until.astimezone(UTC):%Y-%m-%d}, until when it is paid; or refund that"
            " first, or declare it as settled.",
            code="different_terms",
        )
    return {
        "billing_cycle_anchor": int(paid_until.timestamp()),
        "proration_behavior": "none",
    }


def _terms(item: Fields) -> Terms:
    recurring = item.child("price", "recurring")
    return recurring.text("interval"), recurring.whole("interval_count")
