"""Reviews: a payment at elevated risk waits for a person to look at it, and goes on meanwhile."""

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

KIND = "review"


def open_review(world: World, charge: ReadOnly) -> Document:
    """Open the review of a charge and announce it."""
    review = world.add(
        {
            "id": world.ids.next("prv"),
            "object": KIND,
            "charge": charge["id"],
            "created": world.time_of(charge),
            "livemode": False,
            "open": True,
            "opened_reason": "rule",
            "payment_intent": charge["payment_intent"],
            "reason": "rule",
        }
    )
    world.announce("review.opened", review)
    return review


def close_review(world: World, review: Document, reason: str) -> Document:
    """Close a review: `approved`, `refunded`, `disputed`."""
    if not review["open"]:
        raise invalid(f"The review {review['id']} is closed already.")
    review |= {"closed_reason": reason, "open": False, "reason": reason}
    return world.change(review, "review.closed")


def close_reviews(world: World, charge: ReadOnly) -> None:
    """Close the review of a charge that was refunded or disputed."""
    for review in list(world.store.where(KIND, "charge", charge["id"])):
        if review["open"]:
            close_review(world, dict(review), "refunded" if charge["refunded"] else "disputed")
