"""Products, meters, prices and coupons in Stripe, for pushing the catalogue."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from mpanel_billing.catalogue.offers import (
    PriceTerms,
    StripeCoupon,
    StripeMeter,
    StripePrice,
    StripeProduct,
)
from mpanel_billing.catalogue.usage import Aggregation, Tier
from mpanel_billing.errors import StripeObjectMissingError
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    import stripe
    from stripe.params import CouponCreateParams, PriceCreateParams, PriceUpdateParams

IDS_PER_REQUEST = 50
"""Ids are sent in the query of a GET, whose length is limited."""


class StripeCatalogue:
    """The `CatalogueGateway` of a real (or sandboxed) Stripe account."""

    def __init__(self, client: "stripe.StripeClient") -> None:
        """Use `client`, whose key decides account and mode."""
        self._v1 = client.v1

    async def list_products(self, ids: Sequence[str]) -> list[StripeProduct]:
        """Return the products of these ids that exist, active or not."""
        found: list[StripeProduct] = []
        async with translated():
            for start in range(0, len(ids), IDS_PER_REQUEST):
                chunk = list(ids[start : start + IDS_PER_REQUEST])
                page = await self._v1.products.list_async({"ids": chunk, "limit": PAGE_SIZE})
                found += [_product(product) for product in page.data]
        return found

    async def create_product(self, product: StripeProduct, code: str, key: str) -> None:
        """Create a product with the given id; `code` goes into its metadata."""
        async with translated():
            await self._v1.products.create_async(
                {
                    "id": product.id,
                    "name": product.name,
                    "description": product.description,
                    "active": product.active,
                    "metadata": {"code": code},
                    # None is left out
                    "tax_code": cast("str", product.tax_code),
                },
                {"idempotency_key": key},
            )

    async def update_product(self, product: StripeProduct, key: str) -> None:
        """Set name, description and `active` of a product."""
        async with translated():
            await self._v1.products.update_async(
                product.id,
                {
                    "name": product.name,
                    "description": product.description,
                    "active": product.active,
                    "tax_code": cast("str", product.tax_code),
                },
                {"idempotency_key": key},
            )

    async def list_active_meters(self) -> list[StripeMeter]:
        """Return every active meter of the account."""
        async with translated():
            page = await self._v1.billing.meters.list_async(
                {"status": "active", "limit": PAGE_SIZE}
            )
            return [_meter(meter) async for meter in page.auto_paging_iter()]

    async def create_meter(
        self, event_name: str, aggregation: Aggregation, name: str, key: str
    ) -> StripeMeter:
        """Create a meter; its events name a customer and a value."""
        async with translated():
            return _meter(
                await self._v1.billing.meters.create_async(
                    {
                        "display_name": name,
                        "event_name": event_name,
                        "default_aggregation": {"formula": aggregation},
                    },
                    {"idempotency_key": key},
                )
            )

    async def list_active_prices(self) -> list[StripePrice]:
        """Return every active price of the account."""
        async with translated():
            # Stripe leaves out tiers unless it is asked for them
            page = await self._v1.prices.list_async(
                {"active": True, "limit": PAGE_SIZE, "expand": ["data.tiers"]}
            )
            return [_price(price) async for price in page.auto_paging_iter()]

    async def create_price(self, terms: PriceTerms, key: str) -> StripePrice:
        """Create a price; its lookup key moves to it from the price that had it."""
        async with translated():
            params = _price_params(terms)
            params["expand"] = ["tiers"]
            return _price(await self._v1.prices.create_async(params, {"idempotency_key": key}))

    async def say_tax_behavior(self, price_id: str, behavior: str, key: str) -> None:
        """Say of a price whether it contains the taxes: it can be said once."""
        said = cast("PriceUpdateParams", {"tax_behavior": behavior})
        async with translated():
            await self._v1.prices.update_async(price_id, said, {"idempotency_key": key})

    async def retire_price(self, price_id: str, key: str) -> None:
        """Deactivate a price; existing subscriptions keep it."""
        async with translated():
            await self._v1.prices.update_async(
                price_id, {"active": False}, {"idempotency_key": key}
            )

    async def find_coupon(self, coupon_id: str) -> StripeCoupon | None:
        """Return a coupon, or None if it does not exist."""
        try:
            async with translated():
                # Stripe leaves out `applies_to` unless it is asked for
                found = await self._v1.coupons.retrieve_async(coupon_id, {"expand": ["applies_to"]})
                return _coupon(found)
        except StripeObjectMissingError:
            return None

    async def create_coupon(self, coupon: StripeCoupon, key: str) -> None:
        """Create a coupon with the given id."""
        async with translated():
            await self._v1.coupons.create_async(_coupon_params(coupon), {"idempotency_key": key})

    async def delete_coupon(self, coupon_id: str, key: str) -> None:
        """Delete a coupon; discounts already given stay."""
        async with translated():
            await self._v1.coupons.delete_async(coupon_id, None, {"idempotency_key": key})


def _product(product: "stripe.Product") -> StripeProduct:
    return StripeProduct(
        id=product.id,
        name=product.name,
        description=product.description or "",
        active=product.active,
        tax_code=_id_of(product.tax_code),
    )


def _id_of(found: "str | stripe.TaxCode | None") -> str | None:
    return found if found is None or isinstance(found, str) else found.id


def _price(price: "stripe.Price") -> StripePrice:
    recurring = price.recurring
    return StripePrice(
        id=price.id,
        terms=PriceTerms(
            product_id=price.product if isinstance(price.product, str) else price.product.id,
            lookup_key=price.lookup_key,
            currency=price.currency,
            unit_amount=price.unit_amount,
            interval=recurring.interval if recurring else None,
            interval_count=recurring.interval_count if recurring else None,
            meter_id=recurring.meter if recurring else None,
            tiers=_tiers(price),
            tax_behavior=_said(price.tax_behavior),
        ),
    )


def _tiers(price: "stripe.Price") -> tuple[Tier, ...]:
    """Return the tiers of one that is billed by usage."""
    found = price.to_dict().get("tiers") or () if price.recurring and price.recurring.meter else ()
    return tuple(Tier(one["up_to"], Decimal(one["unit_amount_decimal"] or 0)) for one in found)


def _meter(meter: "stripe.billing.Meter") -> StripeMeter:
    return StripeMeter(meter.id, meter.event_name, meter.default_aggregation.formula)


def _said(behavior: str | None) -> str | None:
    return None if behavior == "unspecified" else behavior


def _coupon(coupon: "stripe.Coupon") -> StripeCoupon:
    percent = coupon.percent_off
    applies_to = coupon.to_dict().get("applies_to") or {}
    return StripeCoupon(
        id=coupon.id,
        name=coupon.name or coupon.id,
        percent_off=None if percent is None else Decimal(str(percent)),
        amount_off=coupon.amount_off,
        currency=coupon.currency,
        duration=coupon.duration,
        duration_in_months=coupon.duration_in_months,
        max_redemptions=coupon.max_redemptions,
        redeem_by=coupon.redeem_by,
        product_ids=tuple(sorted(applies_to.get("products", ()))),
    )


def _price_params(terms: PriceTerms) -> "PriceCreateParams":
    params: PriceCreateParams = {
        "product": terms.product_id,
        "currency": terms.currency,
        "transfer_lookup_key": True,
    }
    if terms.lookup_key:
        params["lookup_key"] = terms.lookup_key
    if terms.tax_behavior:
        params |= cast("PriceCreateParams", {"tax_behavior": terms.tax_behavior})
    if terms.interval:
        params["recurring"] = {
            "interval": terms.interval,
            "interval_count": terms.interval_count or 1,
        }
    if not terms.tiers:
        params["unit_amount"] = terms.unit_amount or 0
        return params
    if terms.interval and terms.meter_id:
        params["recurring"] |= {"usage_type": "metered", "meter": terms.meter_id}
    params["billing_scheme"] = "tiered"
    params["tiers_mode"] = "graduated"
    params["tiers"] = [
        {"up_to": tier.up_to or "inf", "unit_amount_decimal": tier.unit_amount}
        for tier in terms.tiers
    ]
    return params


def _coupon_params(coupon: StripeCoupon) -> "CouponCreateParams":
    params: CouponCreateParams = {
        "id": coupon.id,
        "name": coupon.name,
        "duration": coupon.duration,
    }
    if coupon.percent_off is not None:
        params["percent_off"] = float(coupon.percent_off)
    if coupon.amount_off is not None and coupon.currency:
        params["amount_off"] = coupon.amount_off
        params["currency"] = coupon.currency
    if coupon.duration_in_months is not None:
        params["duration_in_months"] = coupon.duration_in_months
    if coupon.max_redemptions is not None:
        params["max_redemptions"] = coupon.max_redemptions
    if coupon.redeem_by is not None:
        params["redeem_by"] = coupon.redeem_by
    if coupon.product_ids:
        params["applies_to"] = {"products": list(coupon.product_ids)}
    return params
