"""Customers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from mpanel_billing.mirror.differences import (
    IDENTITY,
    Difference,
    compared_fields,
    differing_fields,
)
from mpanel_billing.mirror.facts import State
from mpanel_billing.mirror.mirrored_type import Comparison, LockKey, MirroredType, Person, Row
from mpanel_billing.mirror.reading import (
    Fields,
    currency_code,
)
from mpanel_billing.stripe_gateway.objects import Resource


class CustomerFacts(NamedTuple):
    """A Stripe customer.

    `balances` has what is applied to the next invoice in a currency, in minor units: negative is a
    credit, as in Stripe's `balance`. Other currencies have none if `balances_complete`.
    """

    object_id: str
    livemode: bool
    email: str | None
    name: str | None
    deleted: bool
    balances: tuple[tuple[str, int], ...]
    balances_complete: bool
    created: datetime | None

    @property
    def state(self) -> State:
        """How far it has come."""
        return State(final=self.deleted)


def _read(fields: Fields, livemode: bool) -> CustomerFacts:
    deleted = fields.flag("deleted")
    return CustomerFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        email=fields.text("email"),
        name=fields.text("name"),
        deleted=deleted,
        balances=() if deleted else tuple(_balances(fields).items()),
        created=fields.moment("created"),
        balances_complete=deleted or isinstance(fields.values.get(_ALL_BALANCES), dict),
    )


_ALL_BALANCES = "invoice_credit_balance"
"""The balances in all currencies, which Stripe sends only if asked; positive is a credit."""

_TAX_IDS = "tax_ids"


def _balances(fields: Fields) -> dict[str, int]:
    credits_ = fields.child(_ALL_BALANCES)
    balances = {
        currency_code(currency): -(credits_.whole(currency) or 0) for currency in credits_.values
    }
    balance, currency = fields.whole("balance"), fields.text("currency")
    if balance is not None and currency is not None:
        balances[currency_code(currency)] = balance
    return balances


def _tax_ids(stripe_customer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the tax ids of a customer that was fetched, or listed, with them."""
    return [each.values for each in Fields(stripe_customer).children(_TAX_IDS)]


def _lock_keys(facts: CustomerFacts) -> Iterable[LockKey]:
    yield ("cus", facts.object_id)


def _person(facts: CustomerFacts) -> Person:
    return Person(facts.object_id, facts.email, facts.created)


def _anonymous(facts: CustomerFacts) -> CustomerFacts:
    return facts._replace(email=None, name=None)


def _columns(facts: CustomerFacts) -> Mapping[str, Any]:
    return {"balances": dict(facts.balances)}


_LEFT_OUT = IDENTITY | {
    "balances": "compared by currency",
    "balances_complete": "says which currencies are compared",
    "created": "only tells whether the customer was there before an erasure",
}
_COMPARED = compared_fields(CustomerFacts, _LEFT_OUT)


def _differences(facts: CustomerFacts, row: Row) -> Iterable[Difference]:
    compared = ("deleted",) if facts.deleted or row["erased"] else _COMPARED
    yield from differing_fields(facts, row, compared)
    yield from _balance_differences(facts, row["balances"] or {})


def _balance_differences(facts: CustomerFacts, rows: Mapping[str, int]) -> Iterator[Difference]:
    found = dict(facts.balances)
    currencies = {*found, *rows} if facts.balances_complete else found.keys()
    for currency in sorted(currencies):
        ours, theirs = rows.get(currency, 0), found.get(currency, 0)
        if ours != theirs:
            yield Difference(f"balance.{currency}", str(ours), str(theirs))


CUSTOMER = MirroredType(
    object_type="customer",
    id_prefixes=("cus",),
    event_types=frozenset({"customer.created", "customer.updated", "customer.deleted"}),
    read=_read,
    stored_state=lambda row: State(final=row["deleted"]),
    lock_keys=_lock_keys,
    query_file="customers",
    resource=Resource(
        "/v1/customers",
        expand=(_ALL_BALANCES, _TAX_IDS),
        list_params={"expand": [f"data.{_TAX_IDS}"]},
    ),
    comparison=Comparison(
        table="stripe_customers",
        left_out=_LEFT_OUT,
        differences=_differences,
        summary=lambda facts: "deleted" if facts.deleted else "present",
    ),
    columns=_columns,
    contained=_tax_ids,
    person=_person,
    anonymous=_anonymous,
)
