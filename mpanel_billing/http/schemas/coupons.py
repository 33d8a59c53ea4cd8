"""Bodies for coupons of running subscriptions. Amounts are in minor units, times in UTC."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self
from uuid import UUID

import asyncpg
from pydantic import Field

from mpanel_billing.catalogue.model import Coupon, CouponDuration
from mpanel_billing.http.schemas.base import Id, Moment, OwnerRequest, Response, Schema
from mpanel_billing.http.schemas.endings import Comment
from mpanel_billing.subscriptions.coupons import CouponPreview, ValidCoupon


class PreviewCouponRequest(OwnerRequest):
    """A code that a customer has entered."""

    coupon_code: Id


class ApplyCouponRequest(PreviewCouponRequest):
    """A code that a subscription is to have, and why, for the record."""

    reason: Comment | None = None


class PreviewRemovalRequest(OwnerRequest):
    """The coupon of a discount, as the subscription's `discounts` name it."""

    coupon: Id


class RemoveCouponRequest(PreviewRemovalRequest):
    """The coupon whose discount a subscription is to lose, and why, for the record."""

    reason: Comment | None = None


class CouponSchema(Schema):
    """A coupon: `duration` is Stripe's; with `products`, it is taken off these only."""

    code: str
    name: str
    percent_off: float | None
    amount_off: int | None
    currency: str | None = Field(description="Of `amountOff`; null: a percentage.")
    duration: CouponDuration
    duration_in_months: int | None
    products: tuple[str, ...] = Field(description="Codes of the catalogue; empty: everything.")

    @classmethod
    def of(cls, coupon: Coupon) -> Self:
        """Build the object from a coupon."""
        return cls(
            code=coupon.code,
            name=coupon.name,
            percent_off=None if coupon.percent_off is None else float(coupon.percent_off),
            amount_off=coupon.amount_off,
            currency=coupon.currency if coupon.amount_off is not None else None,
            duration=coupon.duration,
            duration_in_months=coupon.duration_in_months,
            products=coupon.products,
        )


class CouponPreviewSchema(Schema):
    """What the next invoice comes to now, and what it would; null: there is none."""

    currency: str
    next_total: int | None
    next_total_then: int | None

    @classmethod
    def of(cls, preview: CouponPreview) -> Self:
        """Build the object from a preview."""
        return cls(
            currency=preview.currency, next_total=preview.before, next_total_then=preview.after
        )


class CouponPreviewResponse(Response):
    """Whether a code is valid for a subscription, and if so, what it does."""

    valid: bool
    coupon: CouponSchema | None
    preview: CouponPreviewSchema | None

    @classmethod
    def of(cls, found: ValidCoupon | None) -> Self:
        """Build the response from what was found."""
        if found is None:
            return cls(valid=False, coupon=None, preview=None)
        return cls(
            valid=True,
            coupon=CouponSchema.of(found.coupon),
            preview=CouponPreviewSchema.of(found.preview),
        )


class RemovalPreviewResponse(Response):
    """What the next invoice would come to without a discount."""

    preview: CouponPreviewSchema


class RedemptionSchema(Schema):
    """A coupon that a customer has had, and how they came by it."""

    coupon_code: str
    redeemed_at: Moment
    way: Literal["order", "change", "offer"]
    subscription_id: UUID
    status: str = Field(description="mPanel's status of the subscription now.")


class RedemptionsResponse(Response):
    """The coupons that a customer has had, the latest first, at most a hundred."""

    redemptions: tuple[RedemptionSchema, ...]

    @classmethod
    def of(cls, rows: Sequence[asyncpg.Record | Mapping[str, Any]]) -> Self:
        """Build the response from rows of `billing_redemptions`."""
        return cls(redemptions=tuple(RedemptionSchema.of_row(row) for row in rows))
