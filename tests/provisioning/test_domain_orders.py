"""A domain is ordered once money was paid for all that was ordered, and never before."""

from collections.abc import Mapping
from typing import Any

import pytest

from mpanel_billing.provisioning.service_state import domains_in
from tests import stripe_objects as made
from tests.provisioning.conftest import ProvisioningSystem

ORDERED = {
    "domainMode": "register",
    "domainValue": "ada.example",
    "furtherDomains": ["ada.eu", "ada.shop"],
}
FIRST_INVOICE = 1_790_000_000
NEXT_INVOICE = FIRST_INVOICE + 1_209_600


async def begin(
    system: ProvisioningSystem,
    status: str = "trialing",
    metadata: Mapping[str, Any] = ORDERED,
    **invoice: Any,
) -> None:
    """Start a subscription whose first invoice is $0 unless said otherwise, and provision it."""
    await system.deliver_subscription(status)
    await system.deliver_invoice("paid", **{"total": 0, **invoice})
    await system.pool.execute("UPDATE subscriptions SET metadata = $1", metadata)
    assert (await system.run()).done


async def pay_next(system: ProvisioningSystem, **invoice: Any) -> None:
    """Bill the next term, and provision what follows."""
    await system.deliver_subscription("active")
    bill = {"created": NEXT_INVOICE, "billing_reason": "subscription_cycle", **invoice}
    await system.deliver_invoice("paid", "in_2", **bill)
    assert (await system.run()).done


def sent(system: ProvisioningSystem) -> list[tuple[str, list[str]]]:
    """Return the commands, each with the domains that it orders."""
    return [(call.action, list(domains_in(call.details))) for call in system.world.calls]


async def test_a_trials_domains_are_ordered_with_a_change_once_its_first_real_payment_arrives(
    system: ProvisioningSystem,
) -> None:
    await begin(system)
    [create] = system.world.calls
    assert create.details["domain"] == "ada.example"
    assert (create.details["domainMode"], create.details["furtherDomains"]) == ("later", [])

    await pay_next(system)
    change = system.world.calls[-1]
    assert change.action == "change"
    assert change.details == {
        "resources": create.details["resources"],
        "domain": "ada.example",
        "domainMode": "register",
        "furtherDomains": ["ada.eu", "ada.shop"],
    }

    await system.deliver_subscription("active", "premium_monthly_usd")
    assert (await system.run()).done
    later = [names for _, names in sent(system)[2:]]
    assert later == [[], []], "what was ordered is not ordered again"
    assert await system.troubles() == []


async def test_a_cancelled_trial_never_gets_its_domain(system: ProvisioningSystem) -> None:
    await begin(system)
    await system.deliver_subscription("trialing", cancel_at_period_end=True)
    assert (await system.run()).done
    await system.deliver_subscription("canceled", ended_at=NEXT_INVOICE, canceled_at=NEXT_INVOICE)
    await system.run()
    assert [names for _, names in sent(system)] == [[], []]


@pytest.mark.parametrize(
    "invoice",
    [
        {"total": 0},
        {"total": 3899, "status": "open"},
        {"total": 3899, "billing_reason": "manual"},
    ],
    ids=["free", "unpaid", "of something else"],
)
async def test_without_money_for_the_order_no_domain_is_ordered(
    system: ProvisioningSystem, invoice: dict[str, Any]
) -> None:
    await begin(system, "active")
    status = invoice.pop("status", "paid")
    await system.deliver_invoice(status, "in_2", created=NEXT_INVOICE, **invoice)
    await system.run()
    assert sent(system) == [("create", [])]


async def test_what_was_paid_and_given_back_orders_nothing(system: ProvisioningSystem) -> None:
    await begin(system)
    await system.inbox.deliver("invoice_payment.paid", made.invoice_payment(invoice="in_2"))
    await system.inbox.deliver("refund.created", made.refund())
    await pay_next(system)
    assert sent(system) == [("create", [])]


async def test_a_refund_after_the_order_takes_nothing_back_and_sends_nothing(
    system: ProvisioningSystem,
) -> None:
    await begin(system, "active", total=799)
    assert sent(system) == [("create", ["ada.example", "ada.eu", "ada.shop"])]
    await system.inbox.deliver("invoice_payment.paid", made.invoice_payment())
    await system.inbox.deliver("refund.created", made.refund())
    assert (await system.run()).done
    assert len(system.world.calls) == 1


async def test_an_order_paid_from_credit_or_by_bank_transfer_is_paid(
    system: ProvisioningSystem,
) -> None:
    await begin(system, "active", total=799, paid=0)
    assert sent(system) == [("create", ["ada.example", "ada.eu", "ada.shop"])]


async def test_what_the_buyer_has_already_is_told_from_the_beginning(
    system: ProvisioningSystem,
) -> None:
    """Nothing is ordered at anybody for it."""
    await begin(system, metadata={"domainMode": "existing", "domainValue": "ada.example"})
    assert system.world.calls[0].details["domainMode"] == "existing"
    await pay_next(system)
    assert len(system.world.calls) == 1


@pytest.mark.parametrize("fault", ["fail_before", "fail_after"])
async def test_an_order_of_unknown_outcome_is_repeated_unchanged(
    system: ProvisioningSystem, fault: Any
) -> None:
    await begin(system)
    system.world.misbehave("hosting", fault)
    await system.deliver_invoice("paid", "in_2", created=NEXT_INVOICE)
    assert not (await system.run()).done
    await system.make_due()
    assert (await system.run()).done
    _, first, second = system.world.calls
    assert (first.idempotency_key, first.details) == (second.idempotency_key, second.details)


async def test_an_order_that_a_suspension_superseded_is_made_afterwards(
    system: ProvisioningSystem,
) -> None:
    await begin(system)
    system.world.misbehave("hosting", "fail_before")
    await system.deliver_invoice("paid", "in_2", created=NEXT_INVOICE)
    assert not (await system.run()).done
    paused = {"paused": {"subscription": {"type": "pause_requested"}}}
    await system.deliver_subscription("paused", status_details=paused)
    assert (await system.run()).done
    await system.deliver_subscription("active")
    assert (await system.run()).done
    assert [action for action, _ in sent(system)[2:]] == ["suspend", "resume", "change"]
    assert sent(system)[-1] == ("change", ["ada.example", "ada.eu", "ada.shop"])


def billed(days: int) -> dict[str, Any]:
    """Return the lines of an invoice for a term of so many days."""
    period = {"start": NEXT_INVOICE, "end": NEXT_INVOICE + days * 86_400}
    return {"lines": {"data": [{"id": "il_1", "object": "line_item", "period": period}]}}


async def test_a_domain_that_a_long_term_includes_is_ordered_with_the_money_for_a_long_term(
    system: ProvisioningSystem,
) -> None:
    """A trial of a year that is changed to a month pays for a month, not for the domain."""
    await begin(system, metadata={**ORDERED, "freeDomain": True})
    await pay_next(system, **billed(31))
    assert sent(system) == [("create", [])]
    await system.deliver_invoice("paid", "in_3", created=NEXT_INVOICE, **billed(365))
    assert (await system.run()).done
    assert sent(system)[1:] == [("change", ["ada.example", "ada.eu", "ada.shop"])]


async def charge(system: ProvisioningSystem, state: str, added: int | None) -> None:
    """Let the domain of a trial be a charge that Stripe has had since then."""
    await system.pool.execute(
        "INSERT INTO subscription_charges (subscription_id, position, kind, code, description,"
        " amount, currency, state, stripe_id, stripe_created)"
        " SELECT id, 0, 'one_time', 'shop', 'ada.shop', 3899, 'usd', $1, 'ii_1', to_timestamp($2)"
        " FROM subscriptions",
        state,
        added,
    )


@pytest.mark.parametrize(
    ("state", "added"),
    [("waiting", None), ("removed", None), ("attached", NEXT_INVOICE)],
    ids=["not there", "taken off", "added too late"],
)
async def test_a_bill_without_the_domain_does_not_pay_for_it(
    system: ProvisioningSystem, state: str, added: int | None
) -> None:
    """Else a trial that was to end until just before its end would get a domain for nothing."""
    await begin(system)
    await charge(system, state, added)
    await system.deliver_invoice("paid", "in_2", created=NEXT_INVOICE)
    await system.run()
    assert sent(system) == [("create", [])]

    await system.pool.execute(
        "UPDATE subscription_charges SET state = 'attached', stripe_created = to_timestamp($1)",
        NEXT_INVOICE,
    )
    await system.deliver_invoice("paid", "in_3", created=NEXT_INVOICE + 1)
    await system.run()
    assert sent(system)[-1] == ("change", ["ada.example", "ada.eu", "ada.shop"])
