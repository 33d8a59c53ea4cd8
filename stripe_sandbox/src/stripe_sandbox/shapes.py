"""Completes objects to the shape that the SDK's classes declare for the pinned API version.

Stripe sends every field of an object, empty ones as null. The SDK's annotations name them all, so
the code sets the fields that matter and the rest is filled in here. A field that the class does not
declare is a bug and raises TypeError.
"""

import typing
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

import stripe
from stripe import StripeObject
from stripe._object_classes import OBJECT_CLASSES

from stripe_sandbox.documents import CONTAINERS, Document, ReadOnly, copied

ON_REQUEST: Mapping[str, frozenset[str]] = {
    "charge": frozenset({"refunds"}),
    "checkout.session": frozenset({"line_items"}),
    "coupon": frozenset({"applies_to", "currency_options"}),
    "customer": frozenset(
        {"cash_balance", "invoice_credit_balance", "sources", "subscriptions", "tax", "tax_ids"}
    ),
    "invoice": frozenset({"confirmation_secret", "payments"}),
    "plan": frozenset({"tiers"}),
    "price": frozenset({"tiers"}),
    "webhook_endpoint": frozenset({"secret"}),
}
"""Fields that Stripe sends only if expanded, or only at creation."""

NEVER_SENT = frozenset(
    {"automatic_transfer_rules_by_currency", "currency_options", "deleted", "previous_attributes"}
)
"""Fields that are absent rather than null."""

BY_CURRENCY = frozenset({"currency_options"})
"""Maps whose values are of the class that the field declares."""

ALTERNATIVES = frozenset(
    {
        "CountryOptions",
        "NextAction",
        "PaymentMethod",
        "PaymentMethodDetails",
        "PaymentMethodOptions",
        "PaymentMethodPreview",
    }
)
"""Classes with one member per payment method or country; Stripe sends only what applies."""


def _object_name(cls: type[StripeObject]) -> str:
    return str(vars(cls)["OBJECT_NAME"])


CLASSES: Mapping[str, type[StripeObject]] = {
    _object_name(cls): cls
    for cls in (
        stripe.Account,
        stripe.Balance,
        stripe.BalanceSettings,
        stripe.BalanceTransaction,
        stripe.BankAccount,
        stripe.Card,
        stripe.CashBalance,
        stripe.Charge,
        stripe.ConfirmationToken,
        stripe.CountrySpec,
        stripe.Coupon,
        stripe.CreditNote,
        stripe.CreditNoteLineItem,
        stripe.Customer,
        stripe.CustomerBalanceTransaction,
        stripe.CustomerCashBalanceTransaction,
        stripe.CustomerSession,
        stripe.Discount,
        stripe.Dispute,
        stripe.EphemeralKey,
        stripe.Event,
        stripe.File,
        stripe.FileLink,
        stripe.Invoice,
        stripe.InvoiceItem,
        stripe.InvoiceLineItem,
        stripe.InvoicePayment,
        stripe.InvoiceRenderingTemplate,
        stripe.LineItem,
        stripe.Mandate,
        stripe.PaymentIntent,
        stripe.PaymentLink,
        stripe.PaymentMethod,
        stripe.Payout,
        stripe.Plan,
        stripe.Price,
        stripe.PaymentMethodConfiguration,
        stripe.PaymentMethodDomain,
        stripe.Product,
        stripe.ProductFeature,
        stripe.PromotionCode,
        stripe.Quote,
        stripe.Refund,
        stripe.Review,
        stripe.SetupAttempt,
        stripe.SetupIntent,
        stripe.ShippingRate,
        stripe.Source,
        stripe.Subscription,
        stripe.SubscriptionItem,
        stripe.SubscriptionSchedule,
        stripe.TaxCode,
        stripe.TaxId,
        stripe.TaxRate,
        stripe.Token,
        stripe.Topup,
        stripe.WebhookEndpoint,
        stripe.billing.Meter,
        stripe.billing.MeterEvent,
        stripe.billing.MeterEventAdjustment,
        stripe.billing.MeterEventSummary,
        stripe.billing.Alert,
        stripe.billing.CreditBalanceSummary,
        stripe.billing.CreditBalanceTransaction,
        stripe.billing.CreditGrant,
        stripe.billing_portal.Configuration,
        stripe.billing_portal.Session,
        stripe.checkout.Session,
        stripe.entitlements.ActiveEntitlement,
        stripe.entitlements.Feature,
        stripe.radar.EarlyFraudWarning,
        stripe.radar.ValueList,
        stripe.radar.ValueListItem,
        stripe.tax.Registration,
        stripe.tax.Settings,
        stripe.test_helpers.TestClock,
    )
}
"""The SDK's class of every object in the sandbox, by the object's name."""


@dataclass(frozen=True)
class Field:
    """A declared field; `references` are the names of the objects that an id in it may refer to."""

    nullable: bool
    nested: type[StripeObject] | None
    references: tuple[str, ...]


NOTHING: frozenset[str] = frozenset()
NEW: ReadOnly = {}


def complete(document: ReadOnly, before: ReadOnly = NEW) -> Document:
    """Return a deep copy of the object with every field that its class declares, null if absent.

    What is as in an earlier version, `before`, is shared with that. Raises TypeError for a field
    that the class does not declare.
    """
    name = document["object"]
    return _complete(document, CLASSES[name], ON_REQUEST.get(name, NOTHING), before)


def _complete(
    values: ReadOnly, cls: type[StripeObject], left_out: frozenset[str], before: ReadOnly = NEW
) -> Document:
    shape = _shape(typing.cast("Hashable", cls), left_out)
    if not values.keys() <= shape.names:
        unknown = ", ".join(sorted(values.keys() - shape.names))
        raise TypeError(f"{cls.__qualname__} has no {unknown}")
    full = {**values}
    for name, value in values.items():
        kind = value.__class__  # as in `copied`
        if kind is dict or kind is list:
            known = before.get(name)
            full[name] = known if known == value else _nested_copy(value, shape.nested.get(name))
    if not shape.nullable.keys() <= full.keys():
        full |= {name: None for name in shape.nullable if name not in full}
    return full


def _nested_copy(value: Any, cls: type[StripeObject] | None) -> Any:
    if cls is None:
        return copied(value)
    if isinstance(value, list):
        return [_complete(item, cls, NOTHING) for item in value]
    return _complete(value, cls, NOTHING)


class _Shape(NamedTuple):
    """What completing needs of a class: looked up for each object, so it is prepared."""

    names: frozenset[str]
    nested: Mapping[str, type[StripeObject]]
    nullable: Mapping[str, None]


@cache
def _shape(cls: Any, left_out: frozenset[str]) -> _Shape:
    fields = _fields(cls)
    sent = cls.__name__ not in ALTERNATIVES
    return _Shape(
        frozenset(fields),
        {
            name: field.nested
            for name, field in fields.items()
            if field.nested and name not in BY_CURRENCY
        },
        {
            name: None
            for name, field in fields.items()
            if sent and field.nullable and name not in left_out | NEVER_SENT
        },
    )


@cache
def _fields(cls: Any) -> dict[str, Field]:
    return {
        name: Field(_is_nullable(kind), _nested(kind), tuple(_references(kind)))
        for name, kind in cls.__annotations__.items()
        if not _is_class_variable(kind)
    }


def fields_of(cls: type[StripeObject]) -> Mapping[str, Field]:
    """Return the fields that a class declares."""
    return _fields(typing.cast("Hashable", cls))


def _references(kind: Any) -> Iterator[str]:
    """Yield the names of the objects in an `ExpandableField`, also in a list of them."""
    choices = typing.get_args(kind)
    if str in choices:
        for choice in choices:
            name = getattr(choice, "__forward_arg__", getattr(choice, "__name__", ""))
            yield from OBJECT_NAMES.get(name.removesuffix("Resource"), ())
        return
    for choice in choices:
        yield from _references(choice)


def _object_names() -> Mapping[str, list[str]]:
    names: defaultdict[str, list[str]] = defaultdict(list)
    for name, (_, class_name) in OBJECT_CLASSES.items():
        names[class_name].append(name)
    return names


OBJECT_NAMES = _object_names()
"""The names of Stripe's objects by the name of their class, which is not always unique."""


def _is_class_variable(kind: Any) -> bool:
    return kind is ClassVar or str(kind).startswith("typing.ClassVar")


def _is_nullable(kind: Any) -> bool:
    return NoneType in typing.get_args(kind)


def _nested(kind: Any) -> type[StripeObject] | None:
    if isinstance(kind, type) and issubclass(kind, StripeObject):
        return kind
    inner = (_nested(part) for part in typing.get_args(kind))
    return next((cls for cls in inner if cls), None)


INLINE = 10
"""How many of its items or lines an object includes; more have to be listed."""

LISTED: Mapping[str, str] = {"credit_note": "lines", "invoice": "lines", "subscription": "items"}
"""The list in an object of which more may exist than it includes."""

CUT: Mapping[str, tuple[str, ...]] = {
    "coupon": ("applies_to", "currency_options"),
    "plan": ("tiers",),
    "price": ("tiers",),
}
"""Stored fields that are sent only if expanded."""

Node = TypeVar("Node")


def as_sent(node: Node) -> Node:
    """Return the response as Stripe sends it, a deep copy.

    Lists in LISTED have at most ten objects, and fields in CUT come only if expanded. A preview is
    not kept, so it has all of its lines.
    """
    return cast("Node", _cut(node))


def _cut(node: Any) -> Any:
    # written like `copied`, for the same speed
    if isinstance(node, list):
        return [_cut(item) if isinstance(item, CONTAINERS) else item for item in node]
    cut = {**node}
    for name, value in node.items():
        inner = value.__class__
        if inner is dict or inner is list:
            cut[name] = _cut(value)
    kind = cut.get("object")
    for name in CUT.get(kind, ()) if isinstance(kind, str) else ():
        cut.pop(name, None)
    name = LISTED.get(kind) if isinstance(kind, str) else None
    if name in cut and len(cut[name]["data"]) > INLINE and not _is_preview(cut):
        cut[name] = {**cut[name], "data": cut[name]["data"][:INLINE], "has_more": True}
    return cut


def _is_preview(node: Document) -> bool:
    return str(node.get("id")).startswith("upcoming_in")
