"""Pauses that customers make in the portal, for a time or until they resume."""

from stripe_sandbox.billing.later import plan_task
from stripe_sandbox.billing.pausing import PauseTerms, pause_now
from stripe_sandbox.billing.periods import add_interval
from stripe_sandbox.billing.resuming import ResumeTerms, resume_now
from stripe_sandbox.billing.resumptions import PAUSE_ENDS
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World


def pause(world: World, subscription: Document, duration: ReadOnly, choice: str) -> bool:
    """Pause a subscription now; return whether the configuration offers the choice.

    `duration` is that of the configuration, `choice` the place of the time in its options.
    """
    options = duration["interval_options"]
    if duration["type"] == "indefinite":
        pause_now(world, subscription, PauseTerms())
        return True
    if not choice.isdecimal() or int(choice) >= len(options):
        return False
    pause_now(world, subscription, PauseTerms())
    option, now = options[int(choice)], world.time_of(subscription)
    seconds = add_interval(now, option["interval"], option["interval_count"]) - now
    plan_task(world, PAUSE_ENDS, subscription, seconds, clock=world.clock_of(subscription))
    return True


def resume(world: World, subscription: Document) -> None:
    """Resume a paused subscription in a new period, and collect its invoice."""
    if subscription["status"] == "paused":
        terms = ResumeTerms(
            keeps_anchor=False, proration="create_prorations", at=world.time_of(subscription)
        )
        resume_now(world, subscription, terms)
