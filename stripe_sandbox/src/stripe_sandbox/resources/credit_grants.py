"""`/v1/billing/credit_grants`, their ledger, and `/v1/billing/alerts`.

No invoice uses credits up, and no alert is triggered.
"""

from stripe.params.billing import (
    AlertActivateParams,
    AlertArchiveParams,
    AlertCreateParams,
    AlertDeactivateParams,
    AlertListParams,
    AlertRetrieveParams,
    CreditBalanceSummaryRetrieveParams,
    CreditBalanceTransactionListParams,
    CreditBalanceTransactionRetrieveParams,
    CreditGrantCreateParams,
    CreditGrantExpireParams,
    CreditGrantListParams,
    CreditGrantRetrieveParams,
    CreditGrantUpdateParams,
    CreditGrantVoidGrantParams,
)

from stripe_sandbox import shapes
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import missing_param
from stripe_sandbox.operations import Call, Listing, Operation, listing, retrieve
from stripe_sandbox.resources.records import Records, status_setter
from stripe_sandbox.supported import one_of, supports
from stripe_sandbox.world import World

GRANT, ENTRY, ALERT = "billing.credit_grant", "billing.credit_balance_transaction", "billing.alert"
PRIORITY = 50
"""Of a grant that names none; a lower one is used first."""


def create(call: Call) -> Document:
    """Grant credits to a customer."""
    world = call.world
    if call.get("customer") is None:
        raise missing_param("customer")
    customer = world.find("customer", call.get("customer"), "customer")
    now = world.time_of(customer)
    grant = world.add(
        {
            "id": world.ids.next("credgr"),
            "object": GRANT,
            "amount": call.get("amount"),
            "applicability_config": call.get("applicability_config"),
            "category": call.get("category", "paid"),
            "created": now,
            "customer": customer["id"],
            "effective_at": call.get("effective_at", now),
            "expires_at": call.get("expires_at"),
            "livemode": False,
            "metadata": call.get("metadata", {}),
            "name": call.get("name"),
            "priority": call.get("priority", PRIORITY),
            "test_clock": customer["test_clock"],
            "updated": now,
        }
    )
    _credit(world, grant)
    world.announce(f"{GRANT}.created", grant)
    return grant


def _credit(world: World, grant: ReadOnly) -> None:
    entry = world.add(
        {
            "id": world.ids.next("cbtxn"),
            "object": ENTRY,
            "created": grant["created"],
            "credit": {"amount": grant["amount"], "type": "credits_granted"},
            "credit_grant": grant["id"],
            "effective_at": grant["effective_at"],
            "livemode": False,
            "test_clock": grant["test_clock"],
            "type": "credit",
        }
    )
    world.announce(f"{ENTRY}.created", entry)


def _change(call: Call, **fields: int | None) -> Document:
    grant = call.world.find(GRANT, call.id)
    if "metadata" in call.params:
        grant["metadata"] = merge_metadata(grant["metadata"], call.params["metadata"])
    grant |= {**fields, "updated": call.world.time_of(grant)}
    return call.world.change(grant)


def update(call: Call) -> Document:
    """Update a grant's expiry or metadata."""
    return _change(call, **call.pick("expires_at"))


def expire(call: Call) -> Document:
    """Let a grant expire now."""
    return _change(call, expires_at=call.world.time_of(call.world.find(GRANT, call.id)))


def void(call: Call) -> Document:
    """Void a grant."""
    return _change(call, voided_at=call.world.time_of(call.world.find(GRANT, call.id)))


def _grants_of(world: World, customer_id: str) -> dict[str, ReadOnly]:
    return {one["id"]: one for one in world.store.all(GRANT) if one["customer"] == customer_id}


def list_entries(call: Call) -> Listing:
    """List the ledger of a customer's credits."""
    world, grant = call.world, call.get("credit_grant")
    if call.get("customer") is None:
        raise missing_param("customer")
    world.find("customer", call.get("customer"), "customer")
    grants = _grants_of(world, call.get("customer"))
    entries = (one for one in world.store.newest_first(ENTRY) if one["credit_grant"] in grants)
    return Listing([one for one in entries if grant in {None, one["credit_grant"]}])


def summarize(call: Call) -> Document:
    """Return what is left of a customer's credits, by currency."""
    customer = call.get("customer")
    if customer is None:
        raise missing_param("customer")
    found = call.world.find("customer", customer, "customer")
    now, totals = call.world.time_of(found), dict[str, int]()
    for grant in _grants_of(call.world, customer).values():
        if _counts(grant, call.get("filter"), now):
            money = grant["amount"]["monetary"]
            totals[money["currency"]] = totals.get(money["currency"], 0) + money["value"]
    balances = [_balance(currency, value) for currency, value in totals.items()]
    return shapes.complete(
        {
            "object": "billing.credit_balance_summary",
            "balances": balances,
            "customer": customer,
            "livemode": False,
        }
    )


def _counts(grant: ReadOnly, wanted: ReadOnly, now: int) -> bool:
    if wanted["type"] == "credit_grant" and wanted.get("credit_grant") != grant["id"]:
        return False
    ended = grant["expires_at"] is not None and grant["expires_at"] <= now
    return not (ended or grant["voided_at"])


def _balance(currency: str, value: int) -> Document:
    amount = {"monetary": {"currency": currency, "value": value}, "type": "monetary"}
    return {"available_balance": amount, "ledger_balance": amount}


def _alert_fields(call: Call) -> Document:
    if call.get("usage_threshold") is None:
        raise missing_param("usage_threshold")
    return {"status": "active"}


PATH, LEDGER = "/billing/credit_grants", "/billing/credit_balance_transactions"
ONE = f"{PATH}/{{id}}"
ALERTS = Records(ALERT, "/billing/alerts", "alrt", _alert_fields)

OPERATIONS = (
    Operation(
        "POST",
        PATH,
        CreditGrantCreateParams,
        create,
        supports(
            "amount",
            "category",
            "customer",
            "effective_at",
            "expires_at",
            "metadata",
            "name",
            "priority",
            applicability_config=supports(scope=supports(price_type=one_of("metered"))),
        ),
    ),
    Operation("GET", PATH, CreditGrantListParams, listing(GRANT), supports("customer")),
    Operation("GET", ONE, CreditGrantRetrieveParams, retrieve(GRANT)),
    Operation("POST", ONE, CreditGrantUpdateParams, update, supports("expires_at", "metadata")),
    Operation("POST", f"{ONE}/expire", CreditGrantExpireParams, expire),
    Operation("POST", f"{ONE}/void", CreditGrantVoidGrantParams, void),
    Operation(
        "GET",
        LEDGER,
        CreditBalanceTransactionListParams,
        list_entries,
        supports("credit_grant", "customer"),
    ),
    Operation("GET", f"{LEDGER}/{{id}}", CreditBalanceTransactionRetrieveParams, retrieve(ENTRY)),
    Operation(
        "GET",
        "/billing/credit_balance_summary",
        CreditBalanceSummaryRetrieveParams,
        summarize,
        supports(
            "customer",
            filter=supports(
                "credit_grant",
                "type",
                applicability_scope=supports(price_type=one_of("metered")),
            ),
        ),
    ),
    ALERTS.creating(AlertCreateParams, supports("alert_type", "title", "usage_threshold")),
    *ALERTS.reading(AlertRetrieveParams, AlertListParams),
    Operation(
        "POST", f"{ALERTS.one}/activate", AlertActivateParams, status_setter(ALERT, "active")
    ),
    Operation(
        "POST", f"{ALERTS.one}/deactivate", AlertDeactivateParams, status_setter(ALERT, "inactive")
    ),
    Operation(
        "POST", f"{ALERTS.one}/archive", AlertArchiveParams, status_setter(ALERT, "archived")
    ),
)
