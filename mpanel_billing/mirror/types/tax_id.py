"""Tax ids of customers, with what a government's database says of them."""

from collections.abc import Iterable, Mapping
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
from mpanel_billing.mirror.reading import Fields, UnreadableObjectError, require
from mpanel_billing.stripe_gateway.objects import Resource


class TaxIdFacts(NamedTuple):
    """A tax id of a customer; `verification` is None where no database has such ids."""

    object_id: str
    livemode: bool
    stripe_customer_id: str
    type: str
    value: str | None
    country: str | None
    verification: str | None
    verified_name: str | None
    verified_address: str | None
    deleted: bool
    stripe_created: datetime

    @property
    def state(self) -> State:
        """How far it has come."""
        return _state(self.verification, deleted=self.deleted)


_VERIFICATIONS = frozenset({"pending", "verified", "unverified", "unavailable"})


def _state(verification: str | None, *, deleted: bool) -> State:
    """A database that answers one thing may answer another later: then Stripe is asked."""
    return State(deleted, (int(verification not in {None, "pending"}),))


def _read(fields: Fields, livemode: bool) -> TaxIdFacts:
    verification = fields.child("verification")
    return TaxIdFacts(
        object_id=fields.require_id(),
        livemode=livemode,
        stripe_customer_id=require(
            fields.reference("customer") or fields.child("owner").reference("customer"), "customer"
        ),
        type=require(fields.text("type"), "type"),
        value=require(fields.text("value"), "value"),
        country=fields.text("country"),
        verification=_verification(verification),
        verified_name=verification.text("verified_name"),
        verified_address=verification.text("verified_address"),
        deleted=fields.flag("deleted"),
        stripe_created=require(fields.moment("created"), "created"),
    )


def _verification(verification: Fields) -> str | None:
    status = verification.text("status")
    if status is not None and status not in _VERIFICATIONS:
        raise UnreadableObjectError(f"verification status {status!r} is unknown")
    return status


def _lock_keys(facts: TaxIdFacts) -> Iterable[LockKey]:
    """Its customer's is locked too: the customer record has the tax id of the latest."""
    yield ("txi", facts.object_id)
    yield ("cus", facts.stripe_customer_id)


def _person(facts: TaxIdFacts) -> Person:
    return Person(facts.stripe_customer_id)


def _anonymous(facts: TaxIdFacts) -> TaxIdFacts:
    return facts._replace(value=None, verified_name=None, verified_address=None)


_LEFT_OUT = IDENTITY | {
    "stripe_customer_id": "never changes",
    "stripe_created": "never changes",
}
_COMPARED = compared_fields(TaxIdFacts, _LEFT_OUT)


def _differences(facts: TaxIdFacts, row: Row) -> Iterable[Difference]:
    """What was erased is no difference."""
    known = facts if row["value"] is not None else _anonymous(facts)
    return differing_fields(known, row, _COMPARED)


def _buried(row: Row) -> Mapping[str, Any] | None:
    """Stripe has it no more; the event that said so was lost."""
    if row["deleted"] or row["value"] is None:
        return None
    return {
        "object": "tax_id",
        "id": row["object_id"],
        "deleted": True,
        "customer": row["stripe_customer_id"],
        "type": row["type"],
        "value": row["value"],
        "country": row["country"],
        "verification": {"status": row["verification"]},
        "created": int(row["stripe_created"].timestamp()),
    }


TAX_ID = MirroredType(
    object_type="tax_id",
    id_prefixes=("txi",),
    event_types=frozenset(
        {"customer.tax_id.created", "customer.tax_id.deleted", "customer.tax_id.updated"}
    ),
    read=_read,
    stored_state=lambda row: _state(row["verification"], deleted=row["deleted"]),
    lock_keys=_lock_keys,
    query_file="tax_ids",
    # the list at this path has those of the account
    resource=Resource("/v1/tax_ids"),
    listed_in="customer",
    comparison=Comparison(
        table="stripe_tax_ids",
        left_out=_LEFT_OUT,
        differences=_differences,
        summary=lambda facts: facts.type,
        buried=_buried,
    ),
    person=_person,
    anonymous=_anonymous,
)
