"""Whether a trial is a person's first of a plan, checked once it has begun.

Two payment pages may be open when an order is checked, and the card is only known when one has been
paid. So the worker asks Stripe for the card, and the first trial that it records is the first.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass

from mpanel_billing.access.persons import PersonHasher
from mpanel_billing.database.pool import acquired, transaction
from mpanel_billing.errors import StripeError, StripeObjectMissingError
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.reading import UnreadableObjectError
from mpanel_billing.provisioning.repository import trials
from mpanel_billing.provisioning.repository.trials import Trial
from mpanel_billing.provisioning.work import Work
from mpanel_billing.stripe_gateway.subscriptions import cancel_subscription, find_card_fingerprint

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrialRules:
    """How a second trial is recognised, and whether its subscription is ended."""

    persons: PersonHasher
    end_second: bool


@dataclass(frozen=True, slots=True)
class CheckedTrial:
    """The result of a check; `ended`: the subscription is over, so what is desired has changed."""

    ended: bool = False
    error: str | None = None


async def check_trial(mirror: Mirror, pace: Pace, rules: TrialRules, work: Work) -> CheckedTrial:
    """Record a trial that was ordered here, and end it if it is a second one and the rules say so.

    Provisioning does not wait for Stripe: an error is returned, and the check is repeated.
    """
    stripe_id = work.stripe_subscription_id
    if work.trial_end is None or stripe_id is None or work.livemode != mirror.livemode:
        return CheckedTrial()
    try:
        trial = await _recorded(mirror, pace, rules, work, stripe_id)
        if trial is None or not _is_to_end(trial, work):
            return CheckedTrial()
        await _end(mirror, pace, trial, stripe_id)
    except (StripeError, UnreadableObjectError) as error:
        logger.warning(
            "trial not checked: %s", error, extra={"subscriptionId": str(work.subscription_id)}
        )
        return CheckedTrial(error=f"trial: {error}")
    return CheckedTrial(ended=True)


async def _recorded(
    mirror: Mirror, pace: Pace, rules: TrialRules, work: Work, stripe_id: str
) -> Trial | None:
    """Return the trial as it is on record; None if none was ordered here."""
    async with acquired(mirror.pool) as conn:
        trial = await trials.get_trial(conn, work.subscription_id)
    if trial is None or trial.recorded:
        return trial
    await pace.turn()
    card = await _find_card(mirror, stripe_id)
    async with transaction(mirror.pool) as conn:
        await trials.lock_plan(conn, trial.product_id)
        await trials.record_trial(
            conn,
            work.subscription_id,
            rules.persons.of_card(card) if card else None,
            to_end=rules.end_second,
        )
        return await trials.get_trial(conn, work.subscription_id)


async def _find_card(mirror: Mirror, stripe_id: str) -> str | None:
    try:
        return await find_card_fingerprint(mirror.stripe, stripe_id)
    except StripeObjectMissingError:
        return None


def _is_to_end(trial: Trial, work: Work) -> bool:
    """Whether it is to be ended, and still a trial: what has been paid for is not taken away."""
    return trial.to_end and work.entitlement.stripe_status == "trialing"


async def _end(mirror: Mirror, pace: Pace, trial: Trial, stripe_id: str) -> None:
    """Cancel the subscription: nothing is charged, as the page has promised for today."""
    await pace.turn()
    with suppress(StripeObjectMissingError):
        await cancel_subscription(mirror.stripe, stripe_id, {"invoice_now": False})
    logger.warning(
        "second trial ended, recognised by %s",
        trial.matched_by,
        extra={"subscriptionId": str(trial.subscription_id)},
    )
    await pace.turn()
    await mirror.refresh("subscription", stripe_id)
