"""Customers."""

from collections.abc import Iterable
from typing import NamedTuple

from mpanel_billing.mirror.differences import Difference, differing_fields
from mpanel_billing.mirror.facts import State
from mpanel_billing.mirror.mirrored_type import Comparison, LockKey, MirroredType, Row
from mpanel_billing.mirror.reading import (
    Fields,
)
from mpanel_billing.stripe_gateway.gateway import Resource


class CustomerFacts(NamedTuple):
    """A Stripe customer."""

    object_id: str
    livemode: bool
    email: str | None
    name: str | None
    deleted: bool

    @property
    def state(self) -> State:
        """How far it has come."""
        return State(final=self.deleted)


def _read(fields: Fields, livemode: bool) -> CustomerFacts:
    return CustomerFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        email=fields.text("email"),
        name=fields.text("name"),
        deleted=fields.flag("deleted"),
    )


def _lock_keys(facts: CustomerFacts) -> Iterable[LockKey]:
    yield ("cus", facts.object_id)


def _differences(facts: CustomerFacts, row: Row) -> Iterable[Difference]:
    compared = ("deleted",) if facts.deleted else ("email", "name", "deleted")
    return differing_fields(facts, row, compared)


CUSTOMER = MirroredType(
    object_type="customer",
    id_prefixes=("cus",),
    event_types=frozenset({"customer.created", "customer.updated", "customer.deleted"}),
    read=_read,
    stored_state=lambda row: State(final=row["deleted"]),
    lock_keys=_lock_keys,
    query_file="customers",
    resource=Resource("/v1/customers"),
    comparison=Comparison(
        table="stripe_customers",
        differences=_differences,
        summary=lambda facts: "deleted" if facts.deleted else "present",
    ),
)
