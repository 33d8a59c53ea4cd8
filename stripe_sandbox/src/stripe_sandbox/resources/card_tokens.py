"""`/v1/tokens`, `/v1/sources`, and the cards and sources of customers: the older API for cards."""

from stripe.params import (
    CustomerPaymentSourceCreateParams,
    CustomerPaymentSourceDeleteParams,
    CustomerPaymentSourceListParams,
    CustomerPaymentSourceRetrieveParams,
    CustomerPaymentSourceUpdateParams,
    CustomerPaymentSourceVerifyParams,
    SourceCreateParams,
    SourceListSourceTransactionsParams,
    SourceRetrieveParams,
    SourceUpdateParams,
    SourceVerifyParams,
    TokenCreateParams,
    TokenRetrieveParams,
)

from stripe_sandbox.billing.bank_sources import (
    find_account_of,
    make_bank_token,
    make_debit_source,
    use_bank_token,
    verify_account,
    verify_source,
)
from stripe_sandbox.billing.card_sources import (
    SOURCE,
    TOKEN,
    NewCard,
    add_source,
    find_source,
    make_source,
    make_token,
    remove_source,
    same_card,
    sources_of,
    use_token,
)
from stripe_sandbox.cards import find_card
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.operations import Call, Listing, Operation, retrieve
from stripe_sandbox.resources.payment_methods import check_expiry, check_number
from stripe_sandbox.supported import one_of, supports

ADDRESS = (
    "address_city",
    "address_country",
    "address_line1",
    "address_line2",
    "address_state",
    "address_zip",
)


def create_token(call: Call) -> Document:
    """Make a token of a test card's number, of a card by its id, or of a bank account."""
    if call.get("bank_account"):
        return make_bank_token(call.world, call.get("bank_account"))
    given = call.get("card")
    if given is None:
        raise missing_param("card")
    if isinstance(given, str):
        return make_token(call.world, same_card(call.world, given, "card"))
    for name in ("number", "exp_month", "exp_year"):
        if given.get(name) is None:
            raise missing_param(f"card[{name}]")
    expiry = _number(given, "exp_month"), _number(given, "exp_year")
    check_expiry(*expiry, call.world.now())
    check_number(given["number"])
    said = {name: given[name] for name in (*ADDRESS, "name") if given.get(name)}
    said["cvc_check"] = "unchecked" if given.get("cvc") else None
    return make_token(call.world, NewCard(find_card(given["number"]), expiry, said))


def _number(given: ReadOnly, name: str) -> int:
    if not str(given[name]).isdigit():
        raise invalid(f"Invalid integer: {given[name]}", param=f"card[{name}]")
    return int(given[name])


def create_source(call: Call) -> Document:
    """Make a source of a card's token, or of a bank account's, which has to be verified."""
    if call.get("token") is None:
        raise missing_param("token")
    values = call.pick("usage", "statement_descriptor")
    values |= {"metadata": call.get("metadata", {}), "owner": call.get("owner", {})}
    if call.get("type") == "ach_debit":
        account = use_bank_token(call.world, call.get("token"), "token")
        return make_debit_source(call.world, values, account)
    card = use_token(call.world, call.get("token"), "token")
    source = make_source(call.world, values, card)
    call.world.announce("source.chargeable", source)
    return source


def update_source(call: Call) -> Document:
    """Update a source's owner or metadata."""
    source = call.world.find(SOURCE, call.id)
    if "metadata" in call.params:
        source["metadata"] = merge_metadata(source["metadata"] or {}, call.params["metadata"])
    source["owner"] = {**(source["owner"] or {}), **call.get("owner", {})}
    return call.world.save(source)


def verify(call: Call) -> Document:
    """Verify a source by the deposits that its account got."""
    return verify_source(call.world, call.world.find(SOURCE, call.id), call.params["values"])


def verify_of_customer(call: Call) -> Document:
    """Verify a customer's bank account by the deposits that it got."""
    account = find_account_of(call.world, call.id, call.ids["source"])
    return verify_account(call.world, account, call.get("amounts", []))


def list_transactions(call: Call) -> Listing:
    """List a source's transactions: a card has none."""
    call.world.find(SOURCE, call.id)
    return Listing([])


def add_to_customer(call: Call) -> Document:
    """Give a customer a card or a source."""
    customer = call.world.find("customer", call.id)
    metadata = call.get("metadata", {})
    return add_source(call.world, customer, call.get("source"), metadata=metadata, as_default=False)


def fetch(call: Call) -> Document:
    """Return a customer's card or source."""
    return find_source(call.world, call.id, call.ids["source"])


def update(call: Call) -> Document:
    """Update a customer's card."""
    source = find_source(call.world, call.id, call.ids["source"])
    source |= call.pick(*ADDRESS, "name")
    for name in ("exp_month", "exp_year"):
        if call.get(name) is not None:
            source[name] = _number(call.params, name)
    if "metadata" in call.params:
        source["metadata"] = merge_metadata(source["metadata"] or {}, call.params["metadata"])
    return call.world.change(source, "customer.source.updated")


def list_of_customer(call: Call) -> Listing:
    """List a customer's cards and sources."""
    call.world.find("customer", call.id)
    wanted = call.get("object")
    found = sources_of(call.world, call.id)
    return Listing([one for one in found if wanted in {None, one["object"]}])


def remove(call: Call) -> Document:
    """Take a card or a source from a customer."""
    source = find_source(call.world, call.id, call.ids["source"])
    return remove_source(call.world, call.id, source)


OF_CUSTOMER = "/customers/{id}/sources"
ONE = f"{OF_CUSTOMER}/{{source}}"
CARD = supports("cvc", "exp_month", "exp_year", "name", "number", *ADDRESS)
BANK_ACCOUNT = supports(
    "account_holder_name",
    "account_holder_type",
    "account_number",
    "account_type",
    "country",
    "currency",
    "routing_number",
)
OWNER = supports("email", "name", "phone")

OPERATIONS = (
    Operation(
        "POST",
        "/tokens",
        TokenCreateParams,
        create_token,
        supports(bank_account=BANK_ACCOUNT, card=CARD),
    ),
    Operation("GET", "/tokens/{id}", TokenRetrieveParams, retrieve(TOKEN)),
    Operation(
        "POST",
        "/sources",
        SourceCreateParams,
        create_source,
        supports(
            "metadata",
            "statement_descriptor",
            "token",
            "usage",
            owner=OWNER,
            type=one_of("ach_debit", "card"),
        ),
    ),
    Operation("GET", "/sources/{id}", SourceRetrieveParams, retrieve(SOURCE)),
    Operation(
        "POST",
        "/sources/{id}",
        SourceUpdateParams,
        update_source,
        supports("metadata", owner=OWNER),
    ),
    Operation(
        "GET",
        "/sources/{id}/source_transactions",
        SourceListSourceTransactionsParams,
        list_transactions,
        is_empty=True,
    ),
    Operation(
        "POST",
        OF_CUSTOMER,
        CustomerPaymentSourceCreateParams,
        add_to_customer,
        supports("metadata", "source"),
    ),
    Operation(
        "GET", OF_CUSTOMER, CustomerPaymentSourceListParams, list_of_customer, supports("object")
    ),
    Operation("GET", ONE, CustomerPaymentSourceRetrieveParams, fetch),
    Operation(
        "POST",
        ONE,
        CustomerPaymentSourceUpdateParams,
        update,
        supports("exp_month", "exp_year", "metadata", "name", *ADDRESS),
    ),
    Operation("DELETE", ONE, CustomerPaymentSourceDeleteParams, remove),
    Operation(
        "POST",
        f"{ONE}/verify",
        CustomerPaymentSourceVerifyParams,
        verify_of_customer,
        supports("amounts"),
    ),
    Operation("POST", "/sources/{id}/verify", SourceVerifyParams, verify, supports("values")),
)
