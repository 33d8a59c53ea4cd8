"""The catalogue as Stripe has it, and what a push needs from the gateway."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from mpanel_billing.catalogue.usage import Aggregation, Tier


@dataclass(frozen=True, slots=True)
class StripeProduct:
    """A Product; we choose its id. Without a `tax_code` of ours Stripe's stays."""

    id: str
    name: str
    description: str
    active: bool
    tax_code: str | None = None


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """The immutable terms of a Price; without an interval it is paid once.

    With `tiers` it is billed by the usage of a meter.
    `tax_behavior` is None as long as it was not said.
    """

    product_id: str
    lookup_key: str | None
    currency: str
    unit_amount: int | None
    interval: str | None
    interval_count: int | None
    tax_behavior: str | None = None
    meter_id: str | None = None
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True, slots=True)
class StripeMeter:
    """A Meter that is active; its event name and how it adds up cannot change."""

    id: str
    event_name: str
    aggregation: Aggregation | str


@dataclass(frozen=True, slots=True)
class StripePrice:
    """A Price and its id."""

    id: str
    terms: PriceTerms


@dataclass(frozen=True, slots=True)
class StripeCoupon:
    """A Coupon; its id is the code that buyers type.

    `redeem_by` is Unix seconds. With `product_ids` it discounts these Products only.
    """

    id: str
    name: str
    percent_off: Decimal | None
    amount_off: int | None
    currency: str | None
    duration: str
    duration_in_months: int | None
    max_redemptions: int | None = None
    redeem_by: int | None = None
    product_ids: tuple[str, ...] = ()


class CatalogueGateway(Protocol):
    """What a push needs from Stripe. Methods may raise StripeError; `key` is an idempotency key."""

    async def list_products(self, ids: Sequence[str]) -> list[StripeProduct]:
        """Return the products of these ids that exist, active or not."""

    async def create_product(self, product: StripeProduct, code: str, key: str) -> None:
        """Create a product with the given id; `code` goes into its metadata."""

    async def update_product(self, product: StripeProduct, key: str) -> None:
        """Set name, description and `active` of a product."""

    async def list_active_meters(self) -> list[StripeMeter]:
        """Return every active meter of the account."""

    async def create_meter(
        self, event_name: str, aggregation: Aggregation, name: str, key: str
    ) -> StripeMeter:
        """Create a meter; its events name a customer and a value."""

    async def list_active_prices(self) -> list[StripePrice]:
        """Return every active price of the account."""

    async def create_price(self, terms: PriceTerms, key: str) -> StripePrice:
        """Create a price; its lookup key moves to it from the price that had it."""

    async def say_tax_behavior(self, price_id: str, behavior: str, key: str) -> None:
        """Say of a price whether it contains the taxes: it can be said once."""

    async def retire_price(self, price_id: str, key: str) -> None:
        """Deactivate a price; existing subscriptions keep it."""

    async def find_coupon(self, coupon_id: str) -> StripeCoupon | None:
        """Return a coupon, or None if it does not exist."""

    async def create_coupon(self, coupon: StripeCoupon, key: str) -> None:
        """Create a coupon with the given id."""

    async def delete_coupon(self, coupon_id: str, key: str) -> None:
        """Delete a coupon; discounts already given stay."""
