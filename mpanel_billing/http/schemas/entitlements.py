"""Bodies of the entitlements in /api/billing. Times are in UTC."""

from collections.abc import Sequence
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from mpanel_billing.http.schemas.base import CacheableResponse, Moment, Schema
from mpanel_billing.provisioning.desired import DesiredState, Phase, Reason
from mpanel_billing.provisioning.repository.entitlements import Product
from mpanel_billing.subscriptions.entitlements import Granted


class EntitledServiceSchema(Schema):
    """What a service may be and have; `actual` is what it is by now, `absent` until it is made.

    Only an `active` one may be used. `resources` are the limits of the catalogue, added up.
    """

    product_type: str
    state: DesiredState
    actual: str
    resources: dict[str, Any]


class EntitledProductSchema(Schema):
    """A plan or add-on that is paid for; `features` are the selling points of its card."""

    product_id: str
    kind: str
    name: str
    quantity: int
    features: tuple[str, ...]

    @classmethod
    def of(cls, product: Product) -> Self:
        """Build the object from a product."""
        return cls(
            product_id=product.code,
            kind=product.kind,
            name=product.name,
            quantity=product.quantity,
            features=product.features,
        )


class EntitlementSchema(Schema):
    """What a subscription entitles to now.

    `access` is `waiting` until the first payment, `suspended` for the `reason`, `ended` while
    accounts are only kept. `until`: when that changes unless something happens, such as the end of
    a trial, of the days of grace, or of the subscription; null: nothing of this is ahead.
    """

    subscription_id: UUID
    customer_id: UUID | None
    tenant_id: UUID | None
    domain: str | None
    access: Literal["waiting", "active", "suspended", "ended"]
    reason: Reason | None
    until: Moment | None
    products: tuple[EntitledProductSchema, ...]
    services: tuple[EntitledServiceSchema, ...]

    @classmethod
    def of(cls, granted: Granted) -> Self:
        """Build the object from what was decided."""
        held, desired = granted.held, granted.desired
        over = desired.phase is Phase.ENDED
        return cls(
            subscription_id=held.subscription_id,
            customer_id=held.customer_id,
            tenant_id=held.tenant_id,
            domain=held.domain,
            access=desired.phase.value,
            reason=desired.reason,
            until=granted.until,
            products=() if over else tuple(EntitledProductSchema.of(p) for p in held.products),
            services=tuple(
                EntitledServiceSchema(
                    product_type=product_type,
                    state=service.state,
                    actual=held.accounts.get(product_type, "absent"),
                    resources=dict(service.resources),
                )
                for product_type, service in desired.services.items()
            ),
        )


class _Revalidated(CacheableResponse):
    """A response with an ETag and camelCase keys."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        json_schema_serialization_defaults_required=True,
        defer_build=True,
    )

    success: Literal[True] = True


class EntitlementResponse(_Revalidated):
    """What a tenant may have now."""

    entitlement: EntitlementSchema


class EntitlementsResponse(_Revalidated):
    """What each of a customer's subscriptions entitles to, newest first."""

    entitlements: tuple[EntitlementSchema, ...]
    next_cursor: str | None

    @classmethod
    def of(cls, granted: Sequence[Granted], cursor: str | None) -> Self:
        """Build the response from a page of what was decided."""
        page = tuple(EntitlementSchema.of(one) for one in granted)
        return cls(entitlements=page, next_cursor=cursor)
