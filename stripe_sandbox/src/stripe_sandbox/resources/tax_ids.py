"""`/v1/tax_ids` and `/v1/customers/{id}/tax_ids`."""

from stripe.params import (
    CustomerTaxIdCreateParams,
    CustomerTaxIdDeleteParams,
    CustomerTaxIdListParams,
    CustomerTaxIdRetrieveParams,
    TaxIdCreateParams,
    TaxIdDeleteParams,
    TaxIdListParams,
    TaxIdRetrieveParams,
)

from stripe_sandbox.billing.tax_ids import KIND, delete_tax_id, make_tax_id, tax_ids_of
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import missing_param, no_such
from stripe_sandbox.operations import Call, Listing, Operation, retrieve
from stripe_sandbox.supported import one_of, supports


def create(call: Call) -> Document:
    """Create a tax id of the account, or of the customer who is its `owner`."""
    customer = _owner(call)
    return make_tax_id(call.world, customer, call.params["type"], call.params["value"])


def _owner(call: Call) -> Document | None:
    owner = call.get("owner", {})
    if owner.get("type", "self") == "self":
        return None
    if owner.get("customer") is None:
        raise missing_param("owner[customer]")
    return call.world.find("customer", owner["customer"], "owner[customer]")


def list_tax_ids(call: Call) -> Listing:
    """List the tax ids of the account, or of the customer who is the `owner`."""
    customer = _owner(call)
    if customer:
        return Listing(tax_ids_of(call.world, customer["id"]))
    own = [one for one in call.world.store.newest_first(KIND) if one["customer"] is None]
    return Listing(own)


def delete(call: Call) -> Document:
    """Delete a tax id."""
    return delete_tax_id(call.world, call.world.find(KIND, call.id))


def create_for(call: Call) -> Document:
    """Create a tax id of the customer in the path."""
    customer = call.world.find("customer", call.id)
    return make_tax_id(call.world, customer, call.params["type"], call.params["value"])


def list_of(call: Call) -> Listing:
    """List the tax ids of the customer in the path."""
    call.world.find("customer", call.id)
    return Listing(tax_ids_of(call.world, call.id))


def retrieve_of(call: Call) -> Document:
    """Return a tax id of the customer in the path."""
    call.world.find("customer", call.id)
    tax_id = call.world.store.get(KIND, call.ids["tax_id"])
    if tax_id is None or tax_id["customer"] != call.id:
        raise no_such(KIND, call.ids["tax_id"], "id", in_path=True)
    return tax_id


def delete_of(call: Call) -> Document:
    """Delete a tax id of the customer in the path."""
    return delete_tax_id(call.world, retrieve_of(call))


PATH = "/tax_ids"
OF = "/customers/{id}/tax_ids"
NEW = supports("type", "value")
OWNER = supports("customer", type=one_of("customer", "self"))

OPERATIONS = (
    Operation("POST", PATH, TaxIdCreateParams, create, supports(base=NEW, owner=OWNER)),
    Operation("GET", PATH, TaxIdListParams, list_tax_ids, supports(owner=OWNER)),
    Operation("GET", f"{PATH}/{{id}}", TaxIdRetrieveParams, retrieve(KIND)),
    Operation("DELETE", f"{PATH}/{{id}}", TaxIdDeleteParams, delete),
    Operation("POST", OF, CustomerTaxIdCreateParams, create_for, NEW),
    Operation("GET", OF, CustomerTaxIdListParams, list_of),
    Operation("GET", f"{OF}/{{tax_id}}", CustomerTaxIdRetrieveParams, retrieve_of),
    Operation("DELETE", f"{OF}/{{tax_id}}", CustomerTaxIdDeleteParams, delete_of),
)
