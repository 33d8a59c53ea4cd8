"""Early fraud warnings: an issuer reports fraud before anybody disputes the charge."""

from stripe_sandbox.billing.reviews import close_reviews
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

KIND = "radar.early_fraud_warning"


def make_warning(world: World, charge: ReadOnly, fraud_type: str) -> Document:
    """Store a warning about a charge and announce it."""
    warning = world.add(
        {
            "id": world.ids.next("issfr"),
            "object": KIND,
            "actionable": not (charge["refunded"] or charge["disputed"]),
            "charge": charge["id"],
            "created": world.time_of(charge),
            "fraud_type": fraud_type,
            "livemode": False,
            "payment_intent": charge["payment_intent"],
        }
    )
    world.announce(f"{KIND}.created", warning)
    return warning


def settle_warnings(world: World, charge: ReadOnly) -> None:
    """Note that a charge was refunded in full or disputed: nothing can be done any more."""
    if not (charge["refunded"] or charge["disputed"]):
        return
    close_reviews(world, charge)
    for warning in list(world.store.where(KIND, "charge", charge["id"])):
        if warning["actionable"]:
            world.change({**warning, "actionable": False})
