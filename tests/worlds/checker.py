"""What a person must act on in a world, by the sentences of the registry of kinds alone.

Written from `billing_trouble_kinds` and from docs/provisioning.md, not from our SQL: it reads what
Stripe and the hosting service say, and what operators have commanded.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from tests.worlds.facts import GIVEN_BY, PLANS, Facts, Object, Subscription, subscription_of

Line: TypeAlias = tuple[str, str | None]
"""A kind, and the subscription at Stripe; None: no subscription is known."""

MINUTE, DAY = 60, 86_400
ENDED = frozenset({"canceled", "incomplete_expired"})
RETENTION = 30 * DAY


@dataclass(frozen=True)
class Verdict:
    """The lines that have to be there, and those about which the sentences leave it open."""

    expected: frozenset[Line]
    open: frozenset[Line]

    def expected_of(self, kinds: frozenset[str]) -> set[Line]:
        """Return the lines of some kinds that have to be there."""
        return {line for line in self.expected - self.open if line[0] in kinds}

    def problems(self, shown: set[Line]) -> list[str]:
        """Return how the lines that are shown contradict the sentences."""
        missing = sorted(map(str, self.expected - shown - self.open))
        wrong = sorted(map(str, shown - self.expected - self.open))
        return [*(f"missing: {one}" for one in missing), *(f"wrong: {one}" for one in wrong)]


def judge(facts: Facts) -> Verdict:
    """Return what `billing_trouble` and `billing_watch` together have to say of a world."""
    expected: set[Line] = set()
    left_open: set[Line] = set()
    for subscription in facts.subscriptions:
        if subscription.id in facts.commands.deleted:
            if _is_left_behind(subscription):
                expected.add(("row_deleted", subscription.id))
            if _request_unfinished(facts, subscription):
                expected.add(("request_unfinished", None))
            continue
        for kind, holds in KINDS.items():
            if holds(facts, subscription):
                expected.add((kind, subscription.id))
        left_open |= {(kind, subscription.id) for kind in _undecided(facts, subscription)}
    for dispute, invoice in facts.disputes:
        owner, told = subscription_of(invoice), _dispute_is(facts, dispute)
        if told and owner in facts.commands.deleted | facts.commands.restored:
            left_open |= {(told, owner), (told, None)}  # whose it is depends on the rows
        elif told:
            expected.add((told, owner))
    expected |= {("event_failed", None)} if facts.commands.unreadable_events else set()
    return Verdict(frozenset(expected), frozenset(left_open))


def _is_left_behind(subscription: Subscription) -> bool:
    """mPanel has deleted a row that Stripe still bills, or whose accounts are left."""
    return _lives(subscription) or bool(subscription.accounts)


def _lives(subscription: Subscription) -> bool:
    return subscription.status not in ENDED


def _held(facts: Facts, subscription: Subscription) -> bool:
    return subscription.id in facts.commands.held


# What was bought, and what is there.


def _included(facts: Facts, subscription: Subscription) -> set[str]:
    codes = [facts.code_of(item) for item in subscription.items if item["quantity"]]
    return {type_ for code in codes if code for type_ in GIVEN_BY[code]}


def _paid(subscription: Subscription) -> bool:
    """Whether the first invoice was paid, or was $0."""
    return any(invoice["status"] == "paid" for invoice in subscription.invoices)


def _not_active(facts: Facts, subscription: Subscription) -> set[str]:
    """Return the types that are included, and missing or suspended, and nobody has decided so."""
    return {
        type_
        for type_ in _included(facts, subscription)
        if subscription.accounts.get(type_, {}).get("state") != "active"
        and subscription.accounts.get(type_, {}).get("suspendedBy") != "service"
        and (subscription.id, type_) not in facts.commands.skipped
    }


def _idle(facts: Facts, minutes: int) -> bool:
    """Whether everything has been as it is for so long: a worker that runs has done its work."""
    stopped_at = facts.commands.worker_stopped_at
    return stopped_at is None or facts.now - stopped_at >= minutes * MINUTE


def _service_missing(facts: Facts, subscription: Subscription) -> bool:
    """Alive, paid, and for 15 minutes a service is missing, without hold, pause or error."""
    return (
        subscription.status in {"trialing", "active"}
        and _paid(subscription)
        and subscription.id in facts.commands.ready
        and subscription.paused_behavior is None
        and not facts.is_held_for_pause(subscription)
        and not _held(facts, subscription)
        and not subscription.refused
        and bool(_not_active(facts, subscription))
        and _idle(facts, 15)
    )


def _not_provisioned(facts: Facts, subscription: Subscription) -> bool:
    """Paid five minutes ago, and its services are not ready."""
    return (
        _lives(subscription)
        and subscription.status != "incomplete"
        and _paid(subscription)
        and subscription.id not in facts.commands.ready
        and bool(_not_active(facts, subscription) or not _included(facts, subscription))
        and (_idle(facts, 5) or bool(subscription.refused))
    )


def _active_after_end(facts: Facts, subscription: Subscription) -> bool:
    """Ended, and an account still active 15 minutes later, or not terminated a day late."""
    states = {account["state"] for account in subscription.accounts.values()}
    if _lives(subscription) or subscription.refused or not _idle(facts, 15):
        return False
    is_kept = _held(facts, subscription) or _paid_after_end(facts, subscription)
    too_late = facts.now >= subscription.stripe["ended_at"] + RETENTION + DAY
    return "active" in states or ("suspended" in states and too_late and not is_kept)


def _provisioning_failed(_: Facts, subscription: Subscription) -> bool:
    """A service has refused a command."""
    return bool(subscription.refused)


def _suspended_by_service(_: Facts, subscription: Subscription) -> bool:
    accounts = subscription.accounts.values()
    return any(account.get("suspendedBy") == "service" for account in accounts)


# What is owed.


def unpaid_terms(subscription: Subscription) -> Iterator[Object]:
    """Yield what is due of its terms and was not paid.

    A payment has failed; a draft or a void one does not count; one that was written off counts
    until a later one is paid.
    """
    paid = [invoice["created"] for invoice in subscription.terms if invoice["status"] == "paid"]
    for invoice in subscription.terms:
        forgiven = any(moment >= invoice["created"] for moment in paid)
        written_off = invoice["status"] == "uncollectible" and not forgiven
        if invoice["attempt_count"] and (invoice["status"] == "open" or written_off):
            yield invoice


def _is_tried_again(facts: Facts, invoice: Object) -> bool:
    attempt = invoice["next_payment_attempt"]
    return attempt is not None and attempt > facts.now - DAY


def _overdue(facts: Facts, subscription: Subscription) -> bool:
    """A term is due and unpaid, and Stripe does not try again to collect it."""
    return _lives(subscription) and any(
        not _is_tried_again(facts, invoice) for invoice in unpaid_terms(subscription)
    )


def _dunning(facts: Facts, subscription: Subscription) -> bool:
    """A term is due and unpaid, and Stripe will try again to collect it."""
    return _lives(subscription) and any(
        _is_tried_again(facts, invoice) for invoice in unpaid_terms(subscription)
    )


def _nothing_owed(_: Facts, subscription: Subscription) -> bool:
    """Stripe calls it past due or unpaid, and no invoice for its terms is due and unpaid."""
    in_debt = subscription.status in {"past_due", "unpaid"}
    return in_debt and not any(unpaid_terms(subscription))


def _paid_after_end(facts: Facts, subscription: Subscription) -> bool:
    """An invoice that was open at the end was paid afterwards, and the host keeps it."""
    return not _lives(subscription) and any(
        invoice["status"] == "paid"
        and invoice["created"] < subscription.stripe["ended_at"]
        and invoice["status_transitions"]["paid_at"] > subscription.stripe["ended_at"]
        and invoice["amount_paid"]
        > facts.refunded.get(invoice["id"], 0) + facts.lost.get(invoice["id"], 0)
        for invoice in subscription.terms
    )


def _open_after_end(_: Facts, subscription: Subscription) -> bool:
    """An invoice can still be paid although its subscription has ended."""
    payable = {"open", "uncollectible"}
    return not _lives(subscription) and any(
        invoice["status"] in payable for invoice in subscription.terms
    )


def _draft_left(facts: Facts, subscription: Subscription) -> bool:
    """A draft for three days that is not meant to be one.

    It is meant while collection is paused with keep_as_draft, while Stripe calls the subscription
    unpaid, after its end, and if it was made by hand.
    """
    meant = subscription.paused_behavior == "keep_as_draft" or subscription.status in {
        "unpaid",
        *ENDED,
    }
    return not meant and any(
        invoice["status"] == "draft" and invoice["created"] <= facts.now - 3 * DAY
        for invoice in subscription.terms
    )


def _invoice_deleted(_: Facts, subscription: Subscription) -> bool:
    """A draft for a term of a living subscription was deleted, and no later term is billed yet."""
    deleted = [
        event["data"]["object"]
        for event in subscription.events
        if event["type"] == "invoice.deleted"
    ]
    billed = [
        invoice["created"]
        for invoice in subscription.terms
        if invoice["status"] in {"open", "paid"}
    ]
    return _lives(subscription) and any(
        invoice["billing_reason"] != "manual"
        and not any(moment > invoice["created"] for moment in billed)
        for invoice in deleted
    )


# What banks take back.


def _dispute_is(facts: Facts, dispute: Object) -> str | None:
    """It waits for evidence, which is due within three days or later; or the bank decides."""
    if dispute["status"] in {"under_review", "warning_under_review"}:
        return "dispute_under_review"
    due = dispute["evidence_details"]["due_by"]
    if dispute["status"] not in {"needs_response", "warning_needs_response"} or due <= facts.now:
        return None
    return "dispute_due" if due <= facts.now + 3 * DAY else "dispute_unanswered"


# What contradicts something else.


def _foreign_schedule(facts: Facts, subscription: Subscription) -> bool:
    schedule = subscription.stripe["schedule"]
    is_foreign = schedule is not None and schedule not in facts.commands.schedules
    return _lives(subscription) and is_foreign


def _item_unplaced(facts: Facts, subscription: Subscription) -> bool:
    """An item belongs to no product of the catalogue, and no operator says it gives nothing."""
    return _lives(subscription) and any(
        facts.code_of(item) is None and item["price"]["id"] not in facts.commands.ignored_prices
        for item in subscription.items
    )


def _trial_twice(facts: Facts, subscription: Subscription) -> bool:
    """On trial for a product of which the customer had a trial before; cards are left open."""
    customer = subscription.stripe["customer"]
    return customer in _customers_of_trials_before(facts, subscription)


def _customers_of_trials_before(facts: Facts, subscription: Subscription) -> set[str]:
    """Return who has had a trial of the product that this one is on trial for."""
    return {
        earlier.stripe["customer"]
        for earlier in _earlier(facts, subscription)
        if subscription.status == "trialing"
        and earlier.stripe["trial_start"] is not None
        and _plan(facts, earlier) == _plan(facts, subscription) is not None
    }


def _earlier(facts: Facts, subscription: Subscription) -> Iterator[Subscription]:
    """Yield the subscriptions that were made before, and that mPanel has not deleted."""
    for other in facts.subscriptions:
        if other.id == subscription.id:
            return
        if other.id not in facts.commands.deleted:
            yield other


def _plan(facts: Facts, subscription: Subscription) -> str | None:
    codes = (facts.code_of(item) for item in subscription.items)
    return next((code for code in codes if code in PLANS), None)


def _lost_to(facts: Facts, subscription: Subscription) -> str | None:
    """Return who had the domain that this one ordered; empty if no subscription is known."""
    domains, holders = facts.commands.domains, facts.commands.lost_domain_to
    if subscription.id not in domains or subscription.id in facts.commands.settled:
        return None
    holder = holders.get(subscription.id, subscription.id)
    return holder if holder != subscription.id else None


def _paid_twice(facts: Facts, subscription: Subscription) -> bool:
    """Two living subscriptions pay for one domain; the first keeps it."""
    holder = _lost_to(facts, subscription)
    return _lives(subscription) and any(
        _lives(first) and first.id not in facts.commands.deleted
        for first in facts.subscriptions
        if first.id == holder
    )


def _work_failed(facts: Facts, subscription: Subscription) -> bool:
    """Its tenant got another domain than was ordered."""
    lost = _lost_to(facts, subscription) is not None
    return lost and not _paid_twice(facts, subscription)


def _request_unfinished(facts: Facts, subscription: Subscription) -> bool:
    asked_at = facts.commands.unanswered.get(subscription.id)
    return asked_at is not None and facts.now - asked_at >= 15 * MINUTE


UNDONE = frozenset({"not_provisioned", "service_missing", "active_after_end"})
"""What a worker that runs leaves to nobody, unless a service refuses."""

KINDS: dict[str, Callable[[Facts, Subscription], bool]] = {
    "not_provisioned": _not_provisioned,
    "provisioning_failed": _provisioning_failed,
    "service_missing": _service_missing,
    "active_after_end": _active_after_end,
    "work_failed": _work_failed,
    "suspended_by_service": _suspended_by_service,
    "paid_twice": _paid_twice,
    "trial_twice": _trial_twice,
    "foreign_schedule": _foreign_schedule,
    "item_unplaced": _item_unplaced,
    "overdue": _overdue,
    "dunning": _dunning,
    "nothing_owed": _nothing_owed,
    "paid_after_end": _paid_after_end,
    "open_after_end": _open_after_end,
    "draft_left": _draft_left,
    "invoice_deleted": _invoice_deleted,
    "request_unfinished": _request_unfinished,
}


def _undecided(facts: Facts, subscription: Subscription) -> Iterator[str]:
    """Yield the kinds about which the sentences say nothing certain here."""
    if _held(facts, subscription) or subscription.status == "paused":
        yield "not_provisioned"  # it is not ready because it is not wanted to be
    is_stopped = facts.commands.worker_stopped_at is not None
    if is_stopped and facts.commands.held_from.get(subscription.id):
        yield "service_missing"  # nobody has noticed yet that a pause is over
    if _customers_of_trials_before(facts, subscription):
        yield from () if _trial_twice(facts, subscription) else ("trial_twice",)  # by the same card
    if subscription.id in facts.commands.restored:
        # which domain it got back depends on the others, and its accounts are not looked for yet
        yield from ("work_failed", "paid_twice", *UNDONE)
    if facts.now - subscription.latest_event_at() < 17 * MINUTE:
        # the term of a kind has just begun, or is just over
        yield from UNDONE
