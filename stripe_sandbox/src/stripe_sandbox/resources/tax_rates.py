"""`/v1/tax_rates`."""

from stripe.params import (
    TaxRateCreateParams,
    TaxRateListParams,
    TaxRateRetrieveParams,
    TaxRateUpdateParams,
)

from stripe_sandbox.documents import Document, merge_metadata
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call, Operation, listing, retrieve
from stripe_sandbox.supported import supports

KIND = "tax_rate"
PLAIN = ("active", "country", "description", "display_name", "jurisdiction", "state", "tax_type")
MOST = 100


def create(call: Call) -> Document:
    """Create a tax rate, in percent."""
    world, percentage = call.world, call.get("percentage")
    if not 0 <= percentage <= MOST:
        raise invalid("Invalid percentage: must be between 0 and 100.", param="percentage")
    rate = world.add(
        {
            "id": world.ids.next("txr"),
            "object": KIND,
            "active": True,
            "created": world.now(),
            "inclusive": call.get("inclusive"),
            "livemode": False,
            "metadata": call.get("metadata", {}),
            "percentage": percentage,
            "rate_type": "percentage",
            **{name: value for name, value in call.pick(*PLAIN).items() if value is not None},
        }
    )
    world.announce("tax_rate.created", rate)
    return rate


def update(call: Call) -> Document:
    """Update a tax rate; its percentage cannot change."""
    rate = call.world.find(KIND, call.id)
    rate |= call.pick(*PLAIN)
    if "metadata" in call.params:
        rate["metadata"] = merge_metadata(rate["metadata"], call.params["metadata"])
    return call.world.change(rate)


PATH = "/tax_rates"
UPDATE = supports(*PLAIN, "metadata")

OPERATIONS = (
    Operation(
        "POST", PATH, TaxRateCreateParams, create, supports("inclusive", "percentage", base=UPDATE)
    ),
    Operation(
        "GET",
        PATH,
        TaxRateListParams,
        listing(KIND),
        supports("active", "created", "inclusive"),
    ),
    Operation("GET", f"{PATH}/{{id}}", TaxRateRetrieveParams, retrieve(KIND)),
    Operation("POST", f"{PATH}/{{id}}", TaxRateUpdateParams, update, UPDATE),
)
