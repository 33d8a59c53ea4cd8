"""Stripe's promotion codes: codes for coupons that were made at Stripe."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from mpanel_billing.catalogue.model import CouponDuration
from mpanel_billing.catalogue.promotion_codes import PromotionCode
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    import stripe


async def list_promotion_codes(gateway: StripeGateway, code: str) -> list[PromotionCode]:
    """Return the active promotion codes that are written like this, in any case; StripeError.

    Stripe allows one for everybody and one for each customer.
    """
    async with translated():
        page = await gateway.client.v1.promotion_codes.list_async(
            {
                "code": code,
                "active": True,
                "limit": PAGE_SIZE,
                "expand": [
                    "data.promotion.coupon.applies_to",
                    "data.promotion.coupon.currency_options",
                    "data.restrictions.currency_options",
                ],
            }
        )
        found = [_read(one) async for one in page.auto_paging_iter()]
    return [one for one in found if one]


def _read(found: "stripe.PromotionCode") -> PromotionCode | None:
    """Read a promotion code; None for one whose coupon can no longer be redeemed."""
    fields = found.to_dict()
    coupon: dict[str, Any] | str | None = fields["promotion"].get("coupon")
    if not isinstance(coupon, dict) or not coupon.get("valid"):
        return None
    restrictions = fields["restrictions"]
    percent = coupon.get("percent_off")
    return PromotionCode(
        id=fields["id"],
        code=fields["code"].upper(),
        customer=_id_of(fields.get("customer")),
        coupon_id=coupon["id"],
        name=coupon.get("name"),
        percent_off=None if percent is None else Decimal(str(percent)),
        amounts_off=_by_currency(coupon, "amount_off", coupon.get("currency")),
        duration=cast("CouponDuration", coupon["duration"]),
        duration_in_months=coupon.get("duration_in_months"),
        products=tuple((coupon.get("applies_to") or {}).get("products") or ()),
        expires_at=_earliest(fields.get("expires_at"), coupon.get("redeem_by")),
        first_time_only=bool(restrictions.get("first_time_transaction")),
        minimums=_by_currency(
            restrictions, "minimum_amount", restrictions.get("minimum_amount_currency")
        ),
    )


def _by_currency(fields: Mapping[str, Any], name: str, own: str | None) -> dict[str, int]:
    """Return an amount in its own currency, and in those of `currency_options`."""
    amounts = {} if own is None or fields.get(name) is None else {own: int(fields[name])}
    options = fields.get("currency_options") or {}
    others = {one: told[name] for one, told in options.items() if name in told}
    return amounts | {one: int(amount) for one, amount in others.items() if amount is not None}


def _id_of(reference: dict[str, Any] | str | None) -> str | None:
    return reference["id"] if isinstance(reference, dict) else reference


def _earliest(*moments: int | None) -> datetime | None:
    given = [moment for moment in moments if moment is not None]
    return datetime.fromtimestamp(min(given), UTC) if given else None
