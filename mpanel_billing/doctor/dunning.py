"""What Stripe does when its last attempt to collect has failed, and what follows from it here.

The API does not tell the account's settings; they are read from what has happened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from mpanel_billing.doctor.finding import Finding, ok, warning
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import Resource

_NAME = "dunning"
_ONE_OFF = "domain_renewals"
_DAY = 86_400
_SUBSCRIPTIONS = Resource("/v1/subscriptions")
_INVOICES = Resource("/v1/invoices")
_ADVICE = "see Stripe's Dashboard, Settings > Billing > Subscriptions and emails"

Outcome = Literal["canceled", "unpaid", "past_due"]


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A subscription after the last attempt: its status, the attempts, and how long they took.

    `days` are those from the invoice to the cancellation; None: it was not cancelled.
    """

    outcome: Outcome
    attempts: int
    days: float | None = None


async def check_dunning(gateway: StripeGateway, settings: Settings) -> list[Finding]:
    """Compare what Stripe does after its last attempt with our days of grace."""
    found = []
    for status in ("canceled", "unpaid", "past_due"):
        params = {"status": status, "expand": ["data.latest_invoice"]}
        page = await gateway.list_page(_SUBSCRIPTIONS, params)
        found += [given_up for each in page.objects if (given_up := read_given_up(each))]
    return [judge_dunning(found, settings.grace_days, settings.retention_days)]


async def check_one_off_invoices(gateway: StripeGateway, settings: Settings) -> list[Finding]:
    """Say whether Stripe tries again to collect invoices of no subscription, as of domains."""
    if "domain" not in settings.provisioning_services:
        return []
    page = await gateway.list_page(_INVOICES, {"status": "open"})
    return [judge_one_off(page.objects)]


def judge_one_off(open_invoices: Sequence[Mapping[str, Any]]) -> Finding:
    """Say what becomes of a domain whose card fails once; the account's setting is not told."""
    failed = [
        each
        for each in open_invoices
        if each.get("billing_reason") == "manual"
        and each["attempt_count"]
        and each["collection_method"] == "charge_automatically"
    ]
    retried = [each for each in failed if each["next_payment_attempt"] is not None]
    if failed and not retried:
        text = (
            f"Stripe does not try again to collect {len(failed)} invoices of no subscription:"
            " a domain whose card fails once expires, unless its customer pays on the page of the"
            " invoice"
        )
        return warning(_ONE_OFF, text, f"have Stripe retry one-off invoices: {_ADVICE}")
    if retried:
        return ok(_ONE_OFF, "Stripe tries again to collect invoices of no subscription")
    return ok(
        _ONE_OFF,
        "no invoice of a domain has failed lately; whether Stripe would try again is a setting of"
        f" one-off invoices: {_ADVICE}",
    )


def read_given_up(subscription: Mapping[str, Any]) -> GivenUp | None:
    """Return how Stripe gave up a subscription; None if it has not."""
    invoice = subscription["latest_invoice"]
    if not isinstance(invoice, Mapping) or not invoice["attempt_count"]:
        return None
    status, attempts = subscription["status"], invoice["attempt_count"]
    if status == "unpaid":
        return GivenUp("unpaid", attempts)
    if status == "past_due":
        waits = invoice["next_payment_attempt"] is not None
        by_hand = invoice["collection_method"] == "send_invoice"
        return None if waits or by_hand else GivenUp("past_due", attempts)
    if (subscription.get("cancellation_details") or {}).get("reason") != "payment_failed":
        return None
    days = (subscription["ended_at"] - invoice["created"]) / _DAY
    return GivenUp("canceled", attempts, days)


def judge_dunning(found: Sequence[GivenUp], grace_days: int, retention_days: int) -> Finding:
    """Say what happens to a customer who does not pay."""
    if not found:
        return ok(_NAME, "no subscription has used up Stripe's attempts to collect yet")
    outcomes = [each.outcome for each in found]
    usual = max(dict.fromkeys(outcomes), key=outcomes.count)
    of_it = [each for each in found if each.outcome == usual]
    attempts = max(each.attempts for each in of_it)
    seen = f"after {attempts} attempts ({len(of_it)} of {len(found)} lately)"
    if usual != "canceled":
        text = (
            f"Stripe leaves subscriptions {usual} {seen}: their accounts stay suspended, and are "
            "kept and billed until someone cancels"
        )
        return warning(_NAME, text, f"let Stripe cancel them: {_ADVICE}")
    days = median(each.days for each in of_it if each.days is not None)
    text = f"Stripe cancels {seen}, about {days:.0f} days after the invoice"
    if days < grace_days:
        early = f"{text}, before GRACE_DAYS ({grace_days}) are over"
        return warning(_NAME, early, f"lower GRACE_DAYS, or have Stripe try longer: {_ADVICE}")
    return ok(
        _NAME,
        f"{text}; here accounts are suspended after {grace_days} days, and terminated "
        f"{retention_days} days after the end",
    )
