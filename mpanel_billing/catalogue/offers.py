"""The catalogue as Stripe holds it, and what a push asks of Stripe's gateway."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StripeProduct:
    """A Product; its id is ours to choose."""

    id: str
    name: str
    description: str
    active: bool


@dataclass(frozen=True, slots=True)
class PriceTerms:
    """What a Price says, which never changes; without an interval it is paid once."""

    product_id: str
    lookup_key: str | None
    currency: str
    unit_amount: int | None
    interval: str | None
    interval_count: int | None


@dataclass(frozen=True, slots=True)
class StripePrice:
    """A Price by its id."""

    id: str
    terms: PriceTerms


@dataclass(frozen=True, slots=True)
class StripeCoupon:
    """A Coupon, whose id is the code that buyers type."""

    id: str
    name: str
    percent_off: Decimal | None
    amount_off: int | None
    currency: str | None
    duration: str
    duration_in_months: int | None


class CatalogueGateway(Protocol):
    """What a push needs of Stripe. Every method may raise StripeError; writing ones take a key."""

    async def list_products(self, ids: Sequence[str]) -> list[StripeProduct]:
        """Find those of the ids that exist, on sale or not."""

    async def create_product(self, product: StripeProduct, code: str, key: str) -> None:
        """Make a product under its id; `code` goes into its metadata."""

    async def update_product(self, product: StripeProduct, key: str) -> None:
        """Make a product say what this one says."""

    async def list_active_prices(self) -> list[StripePrice]:
        """List every price on sale in the account."""

    async def create_price(self, terms: PriceTerms, key: str) -> StripePrice:
        """Make a price, which takes the lookup key over from whichever has it."""

    async def retire_price(self, price_id: str, key: str) -> None:
        """Take a price off sale; subscriptions that have it keep it."""

    async def find_coupon(self, coupon_id: str) -> StripeCoupon | None:
        """Find a coupon."""

    async def create_coupon(self, coupon: StripeCoupon, key: str) -> None:
        """Make a coupon under its id."""

    async def delete_coupon(self, coupon_id: str, key: str) -> None:
        """Remove a coupon; discounts that were granted by it stay."""
