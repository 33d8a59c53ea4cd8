"""`/v1/payment_methods`, and the payment methods of a customer."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from stripe.params import (
    CustomerPaymentMethodListParams,
    CustomerPaymentMethodRetrieveParams,
    PaymentMethodAttachParams,
    PaymentMethodCreateParams,
    PaymentMethodDetachParams,
    PaymentMethodListParams,
    PaymentMethodRetrieveParams,
    PaymentMethodUpdateParams,
)

from stripe_sandbox.bank_accounts import (
    LINK,
    ROUTING_NUMBER,
    Instrument,
    find_account,
    is_iban,
)
from stripe_sandbox.billing.account_checks import note_typed_in
from stripe_sandbox.billing.card_sources import card_of_token
from stripe_sandbox.billing.customers import (
    NOBODY,
    attach_payment_method,
    check_owner,
    create_payment_method,
    detach_payment_method,
)
from stripe_sandbox.billing.method_shapes import Holder
from stripe_sandbox.cards import find_card, passes_luhn
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import ApiError, invalid, missing_param, no_such
from stripe_sandbox.operations import (
    Call,
    Listing,
    Operation,
    listing,
    retrieve,
)
from stripe_sandbox.supported import NOTHING, one_of, supports

MONTHS = range(1, 13)
LONGEST_EXPIRY = 50


def create(call: Call) -> Document:
    """Create a payment method from a test card or bank account; it is not attached."""
    kind = call.get("type")
    given = call.get(kind) if kind else None
    if kind is None or (given is None and kind != "link"):
        raise missing_param("type" if kind is None else kind)
    instrument, holder = INSTRUMENTS[kind](call, given or {})
    method = create_payment_method(call.world, instrument, holder)
    if kind == "us_bank_account":
        note_typed_in(call.world, method["id"])
    if kind == "card":
        method["card"]["checks"]["cvc_check"] = "unchecked" if (given or {}).get("cvc") else None
    method["billing_details"] |= call.get("billing_details", {})
    method["allow_redisplay"] = call.get("allow_redisplay", "unspecified")
    method["metadata"] = call.get("metadata", {})
    return call.world.save(method)


def _sepa(call: Call, given: ReadOnly) -> tuple[Instrument, Holder]:
    _need_holder(call, "email", "name")
    iban = given["iban"].replace(" ", "").upper()
    if not is_iban(iban):
        message = "The IBAN you entered is invalid."
        raise invalid(message, param="sepa_debit[iban]", code="invalid_bank_account_iban")
    return find_account(iban, "sepa_debit"), NOBODY


def _us_bank(call: Call, given: ReadOnly) -> tuple[Instrument, Holder]:
    _need_holder(call, "name")
    for name in ("account_number", "routing_number"):
        if given.get(name) is None:
            raise missing_param(f"us_bank_account[{name}]")
    if given["routing_number"] != ROUTING_NUMBER:
        message = f"In test mode the routing number is {ROUTING_NUMBER}."
        raise invalid(
            message, param="us_bank_account[routing_number]", code="routing_number_invalid"
        )
    holder = Holder(
        company=given.get("account_holder_type") == "company",
        savings=given.get("account_type") == "savings",
    )
    return find_account(given["account_number"], "us_bank_account"), holder


def _link(call: Call, _: ReadOnly) -> tuple[Instrument, Holder]:
    return LINK, Holder(email=call.get("billing_details", {}).get("email"))


def _need_holder(call: Call, *names: str) -> None:
    for name in names:
        if not call.get("billing_details", {}).get(name):
            raise missing_param(f"billing_details[{name}]")


def _card(call: Call, given: ReadOnly) -> tuple[Instrument, Holder]:
    if given.get("token"):
        card = card_of_token(call.world, given["token"])
        if card is None:
            raise no_such("token", given["token"], "card[token]")
        return card, NOBODY
    for name in ("number", "exp_month", "exp_year"):
        if given.get(name) is None:
            raise missing_param(f"card[{name}]")
    check_expiry(given["exp_month"], given["exp_year"], call.world.now())
    check_number(given["number"])
    expiry = (given["exp_month"], given["exp_year"])
    return find_card(given["number"]), Holder(expiry=expiry)


def check_number(number: str) -> None:
    """Raise ApiError for a number that is no card's."""
    if not number.isdigit() or not passes_luhn(number):
        raise _wrong_card("Your card number is incorrect.", "number", "incorrect_number")


def check_expiry(month: int, year: int, now: int) -> None:
    """Raise ApiError for a month that is past or does not exist."""
    today = datetime.fromtimestamp(now, UTC)
    if month not in MONTHS or (year, month) < (today.year, today.month) == (year, today.month):
        message = "Your card's expiration month is invalid."
        raise _wrong_card(message, "exp_month", "invalid_expiry_month")
    if not today.year <= year <= today.year + LONGEST_EXPIRY:
        message = "Your card's expiration year is invalid."
        raise _wrong_card(message, "exp_year", "invalid_expiry_year")


def _wrong_card(message: str, param: str, code: str) -> ApiError:
    return ApiError(402, message, kind="card_error", code=code, param=param)


def update(call: Call) -> Document:
    """Update the billing details, the expiry or the metadata of a customer's payment method."""
    method = call.world.find("payment_method", call.id)
    if method["customer"] is None:
        raise invalid("You must save this PaymentMethod to a customer before you can update it.")
    method["billing_details"] |= call.get("billing_details", {})
    for kind in ("card", "us_bank_account"):
        if call.get(kind):
            _check_kind(method, kind)
            method[kind] |= call.get(kind)
    if method["type"] == "card":
        check_expiry(method["card"]["exp_month"], method["card"]["exp_year"], call.world.now())
    method |= call.pick("allow_redisplay")
    if "metadata" in call.params:
        method["metadata"] = merge_metadata(method["metadata"], call.params["metadata"])
    return call.world.change(method)


def _check_kind(method: ReadOnly, kind: str) -> None:
    if method["type"] != kind:
        message = f"You cannot update `{kind}` of a payment method of type `{method['type']}`."
        raise invalid(message, param=kind)


INSTRUMENTS: Mapping[str, Callable[[Call, ReadOnly], tuple[Instrument, Holder]]] = {
    "card": _card,
    "link": _link,
    "sepa_debit": _sepa,
    "us_bank_account": _us_bank,
}


def attach(call: Call) -> Document:
    """Attach a payment method to a customer."""
    if call.get("customer") is None:
        raise missing_param("customer")
    customer = call.world.find("customer", call.get("customer"), "customer")
    return attach_payment_method(call.world, call.id, customer, "id")


def detach(call: Call) -> Document:
    """Detach a payment method."""
    return detach_payment_method(call.world, call.id)


def list_methods(call: Call) -> Document | Listing:
    """List payment methods; without a customer, those that are attached to none are left out."""
    if call.get("customer"):
        call.world.find("customer", call.get("customer"), "customer")
    found = listing("payment_method")(call)
    if not isinstance(found, Listing):
        return found
    return Listing([method for method in found.documents if method["customer"]])


def list_of_customer(call: Call) -> Listing:
    """List a customer's payment methods."""
    world = call.world
    world.find("customer", call.id)
    mine = [*world.store.where("payment_method", "customer", call.id)][::-1]
    wanted = call.params.items()
    return Listing([one for one in mine if all(one[name] == value for name, value in wanted)])


def retrieve_of_customer(call: Call) -> Document:
    """Return a customer's payment method."""
    method_id = call.ids["payment_method"]
    check_owner(call.world, method_id, call.id, "payment_method")
    return call.world.find("payment_method", method_id)


PATH = "/payment_methods"
ONE = f"{PATH}/{{id}}"
OF_CUSTOMER = "/customers/{id}/payment_methods"
DETAILS = supports("address", "email", "name", "phone")
ACCOUNT = supports("account_holder_type", "account_type")
CARD = supports("cvc", "exp_month", "exp_year", "number", "token")

OPERATIONS = (
    Operation(
        "POST",
        PATH,
        PaymentMethodCreateParams,
        create,
        supports(
            "allow_redisplay",
            "metadata",
            billing_details=DETAILS,
            card=CARD,
            link=NOTHING,
            sepa_debit=supports("iban"),
            type=one_of(*INSTRUMENTS),
            us_bank_account=supports("account_number", "routing_number", base=ACCOUNT),
        ),
    ),
    Operation(
        "GET",
        PATH,
        PaymentMethodListParams,
        list_methods,
        supports("allow_redisplay", "customer", "type"),
    ),
    Operation("GET", ONE, PaymentMethodRetrieveParams, retrieve("payment_method")),
    Operation(
        "POST",
        ONE,
        PaymentMethodUpdateParams,
        update,
        supports(
            "allow_redisplay",
            "metadata",
            billing_details=DETAILS,
            card=supports("exp_month", "exp_year"),
            us_bank_account=ACCOUNT,
        ),
    ),
    Operation("POST", f"{ONE}/attach", PaymentMethodAttachParams, attach, supports("customer")),
    Operation("POST", f"{ONE}/detach", PaymentMethodDetachParams, detach),
    Operation(
        "GET",
        OF_CUSTOMER,
        CustomerPaymentMethodListParams,
        list_of_customer,
        supports("allow_redisplay", "type"),
    ),
    Operation(
        "GET",
        f"{OF_CUSTOMER}/{{payment_method}}",
        CustomerPaymentMethodRetrieveParams,
        retrieve_of_customer,
    ),
)
