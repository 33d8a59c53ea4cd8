"""Bank accounts as the older API has them: tokens, accounts of customers, sources; all verified.

An account is also a payment method with the same id, which its customer has once it is verified.
"""

from collections.abc import Sequence

from stripe_sandbox.bank_accounts import ROUTING_NUMBER, DelayedType, find_account
from stripe_sandbox.billing.customers import attach_payment_method, create_payment_method
from stripe_sandbox.billing.method_shapes import BANK, Holder
from stripe_sandbox.billing.microdeposits import MOST_GUESSES, RIGHT, count_guess
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, invalid, missing_param, no_such
from stripe_sandbox.world import World

KIND, SOURCE, TOKEN = "bank_account", "source", "token"
NUMBER = "_bank_number"
"""Kind of the numbers of accounts, which the objects do not show."""

TYPE: DelayedType = "us_bank_account"


def make_bank_token(world: World, given: ReadOnly) -> Document:
    """Store a token of a bank account, and the account, which is nobody's yet."""
    for name, only in (("country", "US"), ("currency", "usd"), ("routing_number", ROUTING_NUMBER)):
        if (given.get(name) or only) != only:
            message = f"The sandbox takes only {only} for the {name} of a bank account."
            raise invalid(message, param=f"bank_account[{name}]")
    if given.get("routing_number") is None:
        raise missing_param("bank_account[routing_number]")
    account = _make_account(world, given)
    return world.add(
        {
            "id": world.ids.next("btok"),
            "object": TOKEN,
            "bank_account": account,
            "client_ip": "127.0.0.1",
            "created": world.now(),
            "livemode": False,
            "type": KIND,
            "used": False,
        }
    )


def _make_account(world: World, given: ReadOnly) -> Document:
    number = str(given["account_number"])
    holder = Holder(
        name=given.get("account_holder_name"),
        company=given.get("account_holder_type") == "company",
        savings=given.get("account_type") == "savings",
    )
    method = create_payment_method(world, find_account(number, TYPE), holder, prefix="ba")
    names = ("account_holder_name", "account_holder_type", "account_type")
    world.store.put(NUMBER, {"id": method["id"], "number": number})
    return world.add(
        {
            "id": method["id"],
            "object": KIND,
            **{name: given.get(name) for name in names},
            **_shown(method),
            "country": "US",
            "currency": "usd",
            "metadata": {},
            "status": "new",
        }
    )


def _shown(method: ReadOnly) -> Document:
    names = ("fingerprint", "last4", "routing_number")
    return {"bank_name": BANK, **{name: method[TYPE][name] for name in names}}


def is_bank_token(world: World, reference: str) -> bool:
    """Return whether a token is one of a bank account."""
    return (world.store.peek(TOKEN, reference) or {}).get("type") == KIND


def use_bank_token(world: World, reference: str, param: str) -> Document:
    """Return the account of a token, which can be used once."""
    token = world.find(TOKEN, reference, param)
    if token["used"]:
        message = f"You cannot use a Stripe token more than once: {reference}."
        raise invalid(message, param=param, code="token_already_used")
    world.keep(token | {"used": True})
    return world.find(KIND, token["bank_account"]["id"])


def add_account(world: World, customer: ReadOnly, reference: str, metadata: ReadOnly) -> Document:
    """Give a customer a bank account by its token; it has to be verified before it is used."""
    account = use_bank_token(world, reference, "source")
    for name in ("account_holder_name", "account_holder_type"):
        if account[name] is None:
            raise missing_param(name)
    account |= {"customer": customer["id"], "metadata": dict(metadata)}
    account = world.save(account)
    world.announce("customer.source.created", account)
    return account


def verify_account(world: World, account: Document, amounts: Sequence[int]) -> Document:
    """Verify a customer's account by the deposits that it got; then it can be charged.

    Raises ApiError for wrong amounts; after the last guess it cannot be verified any more.
    """
    if account["status"] != "new":
        message = f"This bank account cannot be verified: its status is {account['status']}."
        raise invalid(message)
    if _are_right(amounts):
        customer = world.view("customer", account["customer"])
        attach_payment_method(world, account["id"], customer, "source")
        return world.change(account | {"status": "verified"}, "customer.source.updated")
    if count_guess(world, account["id"]) >= MOST_GUESSES:
        world.change(account | {"status": "verification_failed"}, "customer.source.updated")
    raise _mismatch("amounts")


def _are_right(amounts: Sequence[int]) -> bool:
    return tuple(sorted(amounts)) == RIGHT[0]


def _mismatch(param: str) -> ApiError:
    error = invalid(
        "The amounts provided do not match the amounts that were sent to the bank account.",
        param=param,
        code="bank_account_verification_failed",
    )
    error.keeps_changes = True
    return error


def make_debit_source(world: World, values: Document, account: ReadOnly) -> Document:
    """Store a source of a bank account, which is chargeable once its deposits are named."""
    number = str((world.store.peek(NUMBER, account["id"]) or {})["number"])
    holder = Holder(name=account["account_holder_name"])
    method = create_payment_method(world, find_account(number, TYPE), holder, prefix="src")
    return world.add(
        {
            "id": method["id"],
            "object": SOURCE,
            "ach_debit": {
                **_shown(method),
                "country": "US",
                "type": account["account_holder_type"],
            },
            "client_secret": f"src_client_secret_{world.ids.letters(24)}",
            "code_verification": {"attempts_remaining": MOST_GUESSES, "status": "pending"},
            "created": world.now(),
            "currency": "usd",
            "flow": "code_verification",
            "livemode": False,
            "metadata": {},
            "owner": {},
            "status": "pending",
            "type": "ach_debit",
            "usage": "reusable",
            **values,
        }
    )


def verify_source(world: World, source: Document, values: Sequence[str]) -> Document:
    """Verify a source by the deposits that its account got; raises ApiError for wrong ones."""
    checks = source["code_verification"]
    if not checks or checks["status"] != "pending":
        raise invalid("This source does not wait to be verified.", code="source_unverifiable")
    if all(value.isdecimal() for value in values) and _are_right([int(one) for one in values]):
        checks["status"], source["status"] = "succeeded", "chargeable"
        source = world.save(source)
        world.announce("source.chargeable", source)
        return source
    checks["attempts_remaining"] -= 1
    if not checks["attempts_remaining"]:
        checks["status"] = source["status"] = "failed"
        world.announce("source.failed", world.save(source))
    world.keep(source)
    raise _mismatch("values")


def refuse_charging(account: ReadOnly) -> None:
    """Raise ApiError for a charge without a payment intent."""
    if account["status"] != "verified":
        raise invalid(
            "The customer's bank account must be verified before it can be charged.",
            code="bank_account_unverified",
        )
    raise invalid("The sandbox debits bank accounts by payment intents only.", param="source")


def find_account_of(world: World, customer_id: str, account_id: str) -> Document:
    """Return a customer's bank account; raises ApiError if it is not theirs."""
    account = world.store.get(KIND, account_id)
    if account is None or account["customer"] != customer_id:
        raise no_such("source", account_id)
    return account
