"""Snapshots: the facts of an object at a point in time."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from mpanel_billing.mirror.facts import Facts
from mpanel_billing.mirror.ordering import Kind, Version
from mpanel_billing.mirror.types import normalise


class Snapshot(NamedTuple):
    """Facts of one Stripe object, with their version."""

    object_type: str
    facts: Facts
    version: Version

    @property
    def object_id(self) -> str:
        """The Stripe id."""
        return self.facts.object_id


def snapshot_of_event(
    stripe_object: Mapping[str, Any],
    *,
    event_id: str,
    event_type: str,
    created: datetime,
    livemode: bool,
    previous: Mapping[str, Any] | None,
) -> Snapshot:
    """Read the object in an event; UnreadableObjectError if it is malformed.

    The object of a deletion may look as it did before, without `deleted`.
    """
    kind = kind_of(event_type)
    as_read = {**stripe_object, "deleted": True} if kind is Kind.DELETED else stripe_object
    facts = normalise(as_read, livemode=livemode)
    return Snapshot(
        object_type=stripe_object["object"],
        facts=facts,
        version=Version(
            since=created,
            as_of=created,
            event_id=event_id,
            kind=kind,
            final=facts.state.final,
            progress=facts.state.progress,
            content=stripe_object,
            previous=previous if kind is Kind.UPDATED else None,
            test_clock=_on_test_clock(stripe_object),
        ),
    )


def snapshot_of_answer(
    stripe_object: Mapping[str, Any],
    *,
    since: datetime,
    as_of: datetime,
    livemode: bool,
    read_after: tuple[datetime, str | None] | None,
) -> Snapshot:
    """Read an object that was fetched; `read_after` is the version stored before the request."""
    facts = normalise(stripe_object, livemode=livemode)
    return Snapshot(
        object_type=stripe_object["object"],
        facts=facts,
        version=Version(
            since=since,
            as_of=as_of,
            final=facts.state.final,
            progress=facts.state.progress,
            content=stripe_object,
            read_after=read_after,
            test_clock=_on_test_clock(stripe_object),
        ),
    )


def _on_test_clock(stripe_object: Mapping[str, Any]) -> bool:
    return bool(stripe_object.get("test_clock"))


def kind_of(event_type: str) -> Kind:
    """Return what happened to the object of an event of this type."""
    if event_type.endswith(".created"):
        return Kind.CREATED
    return Kind.DELETED if event_type.endswith(".deleted") else Kind.UPDATED
