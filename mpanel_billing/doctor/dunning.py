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
_DAY = 86_400
_SUBSCRIPTIONS = Resource("/v1/subscriptions")
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
