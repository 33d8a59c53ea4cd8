"""`/v1/reviews`: payments at elevated risk, for a person to look at."""

from stripe.params import ReviewApproveParams, ReviewListParams, ReviewRetrieveParams

from stripe_sandbox.billing.reviews import KIND, close_review
from stripe_sandbox.documents import Document
from stripe_sandbox.operations import Call, Operation, listing, retrieve
from stripe_sandbox.supported import supports


def approve(call: Call) -> Document:
    """Approve a payment."""
    return close_review(call.world, call.world.find(KIND, call.id), "approved")


OPERATIONS = (
    Operation("GET", "/reviews", ReviewListParams, listing(KIND), supports("created")),
    Operation("GET", "/reviews/{id}", ReviewRetrieveParams, retrieve(KIND)),
    Operation("POST", "/reviews/{id}/approve", ReviewApproveParams, approve),
)
