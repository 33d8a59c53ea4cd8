"""What some test cards bring about after a successful charge."""

from stripe_sandbox.billing.customers import instrument_behind
from stripe_sandbox.billing.disputes import open_dispute
from stripe_sandbox.billing.later import plan_task
from stripe_sandbox.billing.reviews import open_review
from stripe_sandbox.billing.warnings import make_warning
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

INQUIRY = "inquiry"
WARNING = "warning"


def plan_consequence(world: World, charge: ReadOnly) -> None:
    """Plan what the card brings about; it comes right after what the charge pays for.

    A charge at elevated risk is put under review at once.
    """
    instrument = instrument_behind(world, charge["payment_method"])
    if instrument.risk == "elevated":
        open_review(world, charge)
    if instrument.consequence:
        plan_task(world, "bring_about", charge, 0)


def bring_about(world: World, charge: Document) -> None:
    """Let the cardholder dispute the charge, or their bank report fraud."""
    consequence = instrument_behind(world, charge["payment_method"]).consequence
    if consequence == WARNING:
        make_warning(world, charge, "made_with_stolen_card")
    elif consequence == INQUIRY:
        open_dispute(world, charge, reason="fraudulent", status="warning_needs_response")
    elif consequence:
        open_dispute(world, charge, reason=consequence, status="needs_response")
