"""`/v1/customers`."""

from stripe.params import (
    CustomerCreateParams,
    CustomerDeleteDiscountParams,
    CustomerDeleteParams,
    CustomerListParams,
    CustomerRetrieveParams,
    CustomerUpdateParams,
)

from stripe_sandbox.bank_accounts import find_test_method
from stripe_sandbox.billing.card_sources import add_source, find_source
from stripe_sandbox.billing.customer_balance import add_transaction
from stripe_sandbox.billing.customer_discounts import remove_discount, set_discount
from stripe_sandbox.billing.customers import (
    attach_payment_method,
    check_owner,
    make_customer,
)
from stripe_sandbox.billing.subscriptions import FINAL_STATUSES, cancel_subscription
from stripe_sandbox.billing.tax_ids import drop_tax_ids, make_tax_id
from stripe_sandbox.billing.tax_locations import keep_ip_address, locate, unknown_location
from stripe_sandbox.documents import Document, merge_metadata
from stripe_sandbox.errors import invalid
from stripe_sandbox.former_params import extend
from stripe_sandbox.operations import Call, Operation, listing
from stripe_sandbox.supported import supports

PLAIN = (
    "address",
    "balance",
    "business_name",
    "description",
    "email",
    "individual_name",
    "name",
    "next_invoice_sequence",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
)
DELETED = "_deleted_customer"


def create(call: Call) -> Document:
    """Create a customer, on a test clock if one is given."""
    world, clock = call.world, call.get("test_clock")
    if clock:
        world.find("test_helpers.test_clock", clock, "test_clock")
    _check_email(call)
    values = {name: value for name, value in call.pick(*PLAIN).items() if value is not None}
    customer = make_customer(world, values | {"metadata": call.get("metadata", {})}, clock)
    _note_balance(call, customer | {"balance": 0}, "initial")
    for index, given in enumerate(call.get("tax_id_data", [])):
        path = f"tax_id_data[{index}][value]"
        make_tax_id(world, customer, given["type"], given["value"], path)
    _set_tax(call, customer)
    _add_source(call, customer)
    customer = world.find("customer", customer["id"])
    if call.get("payment_method"):
        attach_payment_method(world, call.get("payment_method"), customer, "payment_method")
    if call.get("invoice_settings"):
        customer = _set_invoice_settings(call, customer)
        customer = world.save(customer)
    if call.get("coupon"):
        customer = set_discount(world, customer, call.get("coupon"))
    return customer


def _add_source(call: Call, customer: Document) -> None:
    """Give the customer the card of `source`, as their default."""
    if call.get("source"):
        add_source(call.world, customer, call.get("source"), metadata={}, as_default=True)


def _set_tax(call: Call, customer: Document) -> None:
    """Keep the IP address; raises ApiError if the location is to be known now, and is not."""
    given = call.get("tax", {})
    if "ip_address" in given:
        keep_ip_address(call.world, customer["id"], given["ip_address"])
    if given.get("validate_location") == "immediately" and locate(call.world, customer) is None:
        raise unknown_location()


def _check_email(call: Call) -> None:
    email = call.get("email")
    if email is not None and "@" not in email:
        raise invalid(f"Invalid email address: {email}", param="email", code="email_invalid")


def _set_invoice_settings(call: Call, customer: Document) -> Document:
    given = dict(call.get("invoice_settings", {}))
    method = given.get("default_payment_method")
    if method and find_test_method(method):
        given["default_payment_method"] = _saved_card(call, customer, method)
    elif method:
        param = "invoice_settings[default_payment_method]"
        check_owner(call.world, method, customer["id"], param)
    customer["invoice_settings"] |= given
    return customer


def _saved_card(call: Call, customer: Document, token: str) -> str:
    """Return the id of the payment method that a test token became when attached."""
    if call.get("payment_method") != token:
        return str(attach_payment_method(call.world, token, customer, "invoice_settings")["id"])
    mine = [
        method["id"]
        for method in call.world.store.where("payment_method", "customer", customer["id"])
    ]
    return str(mine[-1])


def update(call: Call) -> Document:
    """Update a customer."""
    customer = call.world.find("customer", call.id)
    _check_email(call)
    _note_balance(call, customer)
    customer |= call.pick(*PLAIN)
    _set_tax(call, customer)
    if "metadata" in call.params:
        customer["metadata"] = merge_metadata(customer["metadata"], call.params["metadata"])
    if call.get("invoice_settings"):
        customer = _set_invoice_settings(call, customer)
    if call.get("default_source"):
        source = find_source(call.world, call.id, call.get("default_source"))
        customer["default_source"] = source["id"]
    customer = call.world.change(customer)
    _add_source(call, customer)
    customer = call.world.find("customer", call.id)
    if "coupon" in call.params:
        customer = set_discount(call.world, customer, call.params["coupon"])
    return customer


def delete_discount(call: Call) -> Document:
    """Take a customer's discount."""
    customer = call.world.find("customer", call.id)
    discount = customer["discount"]
    remove_discount(call.world, customer)
    return {**discount, "deleted": True}


def _note_balance(call: Call, customer: Document, kind: str = "adjustment") -> None:
    """Store the transaction of a balance that is set directly."""
    moved = call.get("balance", customer["balance"]) - customer["balance"]
    if moved:
        add_transaction(call.world, customer, moved, customer["currency"] or "usd", kind)


def fetch(call: Call) -> Document:
    """Return a customer; a deleted one is a stub."""
    deleted = call.world.store.get(DELETED, call.id)
    return deleted or call.world.find("customer", call.id)


def delete(call: Call) -> Document:
    """Delete a customer and cancel their subscriptions."""
    world = call.world
    customer = world.find("customer", call.id)
    for subscription in list(world.store.where("subscription", "customer", call.id)):
        if subscription["status"] not in FINAL_STATUSES:
            cancel_subscription(world, world.find("subscription", subscription["id"]))
    for item in list(world.store.where("invoiceitem", "customer", call.id)):
        if item["invoice"] is None:
            world.store.delete("invoiceitem", item["id"])
    drop_tax_ids(world, call.id)
    world.announce("customer.deleted", customer)
    world.store.delete("customer", call.id)
    stub = {"id": call.id, "object": "customer", "deleted": True}
    world.store.put(DELETED, stub)
    return stub


SAID = supports(*PLAIN, "coupon", "invoice_settings", "metadata", "source", "tax")
ONE = "/customers/{id}"

OPERATIONS = (
    Operation(
        "POST",
        "/customers",
        extend(CustomerCreateParams, coupon=str),
        create,
        supports("payment_method", "tax_id_data", "test_clock", base=SAID),
    ),
    Operation(
        "GET",
        "/customers",
        CustomerListParams,
        listing("customer"),
        supports("created", "email", "test_clock"),
    ),
    Operation("GET", ONE, CustomerRetrieveParams, fetch),
    Operation(
        "POST",
        ONE,
        extend(CustomerUpdateParams, coupon=str),
        update,
        supports("default_source", base=SAID),
    ),
    Operation("DELETE", f"{ONE}/discount", CustomerDeleteDiscountParams, delete_discount),
    Operation("DELETE", ONE, CustomerDeleteParams, delete),
)
