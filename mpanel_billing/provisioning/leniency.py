"""What is agreed with a customer about suspension for a debt: seen before, agreed, and ended."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, InvalidRequestError
from mpanel_billing.jobs.queue import enqueue_provisioning
from mpanel_billing.provisioning.desired import Leniency, Policy, debt_suspends_at, is_in_debt
from mpanel_billing.provisioning.operations import trigger
from mpanel_billing.provisioning.repository import entitlements
from mpanel_billing.provisioning.repository import operations as repository
from mpanel_billing.provisioning.repository.entitlements import Concerned


@dataclass(frozen=True, slots=True)
class Agreement:
    """What an operator agrees with a customer about suspension for a debt, and why.

    `grace_days` replaces GRACE_DAYS; before `not_before` (UTC) a debt suspends nothing; None is the
    host's rule. `whole_customer`: for all subscriptions of the customer; one of a subscription's
    own goes before it.
    """

    reason: str
    grace_days: int | None = None
    not_before: datetime | None = None
    whole_customer: bool = False


MOST_GRACE_DAYS = 3650
"""As the table has it."""

MOST_SHOWN = 50
"""Subscriptions of which a preview tells what an agreement changes."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an agreement, or its end, changes for a subscription.

    `is_in_debt`: Stripe calls it unpaid; that suspends it from `at` on as things are, and from
    `at_then` on once `then` is agreed; None: at once. `keeps_own`: it has an agreement of its own,
    which goes before that of its customer.
    """

    concerned: Concerned
    is_in_debt: bool
    at: datetime | None
    at_then: datetime | None
    then: Leniency
    keeps_own: bool


async def preview_leniency(
    pool: Pool,
    policy: Policy,
    subscription_id: UUID,
    agreement: Agreement | None,
    *,
    whole_customer: bool,
) -> Sequence[Change]:
    """Return what an agreement changes now, for the first MOST_SHOWN; None: its end."""
    async with acquired(pool) as conn:
        found = await entitlements.list_concerned(
            conn, subscription_id, MOST_SHOWN, whole_customer=whole_customer
        )
    given = None if agreement is None else _leniency_of(agreement)
    return [_change(one, policy, given, whole_customer=whole_customer) for one in found]


def _leniency_of(agreement: Agreement) -> Leniency:
    days = agreement.grace_days
    return Leniency(None if days is None else timedelta(days=days), agreement.not_before)


def _change(
    concerned: Concerned, policy: Policy, given: Leniency | None, *, whole_customer: bool
) -> Change:
    now = concerned.entitlement
    keeps_own = whole_customer and concerned.has_own
    otherwise = Leniency() if whole_customer else concerned.of_customer
    then = now if keeps_own else replace(now, leniency=given or otherwise)
    return Change(
        concerned,
        is_in_debt(now),
        debt_suspends_at(now, policy),
        debt_suspends_at(then, policy),
        then.leniency,
        keeps_own,
    )


async def list_leniency(pool: Pool, subscription_id: UUID) -> Sequence[asyncpg.Record]:
    """Return the agreements that apply to a subscription: its own, then its customer's."""
    async with acquired(pool) as conn:
        return await repository.list_leniency(conn, subscription_id)


async def agree_leniency(
    pool: Pool,
    subscription_id: UUID,
    agreement: Agreement,
    *,
    operator: str,
    by: Actor | None = None,
) -> None:
    """Agree on when a debt suspends, instead of what was agreed before.

    InvalidRequestError if nothing is agreed; ConflictError if the subscription has no customer yet,
    or another operator is agreeing at the same time.
    """
    if agreement.grace_days is None and agreement.not_before is None:
        raise InvalidRequestError("Name the days of grace, a date, or both.")
    async with transaction(pool) as conn:
        whole_customer = agreement.whole_customer
        await repository.end_leniency(conn, subscription_id, whole_customer=whole_customer)
        added = await repository.add_leniency(
            conn,
            subscription_id,
            whole_customer=whole_customer,
            grace_days=agreement.grace_days,
            not_before=agreement.not_before,
            reason=agreement.reason,
            set_by=operator,
        )
        if not added:
            raise ConflictError(
                "Nothing was agreed: this subscription has no customer yet, or another operator "
                "agreed on something at the same time. Look, and try again."
            )
        await _trigger_agreed(conn, subscription_id, whole_customer=whole_customer)
        details = _audited(agreement)
        await audit.record(conn, by, "subscription.lenient", _target(subscription_id), details)


def _audited(agreement: Agreement) -> dict[str, object]:
    """Return what the audit log says of an agreement."""
    not_before = agreement.not_before
    return {
        "reason": agreement.reason,
        "graceDays": agreement.grace_days,
        "notBefore": not_before and not_before.isoformat(),
        "wholeCustomer": agreement.whole_customer,
    }


async def end_leniency(
    pool: Pool, subscription_id: UUID, *, whole_customer: bool, by: Actor | None = None
) -> str:
    """Return to the host's rules; returns the agreement's reason.

    ConflictError if nothing was agreed.
    """
    async with transaction(pool) as conn:
        reason = await repository.end_leniency(conn, subscription_id, whole_customer=whole_customer)
        if reason is None:
            raise ConflictError("Nothing was agreed with this subscription or customer.")
        await _trigger_agreed(conn, subscription_id, whole_customer=whole_customer)
        details = {"reason": reason, "wholeCustomer": whole_customer}
        await audit.record(conn, by, "subscription.strict", _target(subscription_id), details)
    return reason


async def _trigger_agreed(conn: Connection, subscription_id: UUID, *, whole_customer: bool) -> None:
    if whole_customer:
        works = await repository.renew_works_of_customer(conn, subscription_id)
        await enqueue_provisioning(conn, works)
    else:
        await trigger(conn, subscription_id)


def _target(subscription_id: UUID) -> Target:
    return Target("subscription", str(subscription_id))
