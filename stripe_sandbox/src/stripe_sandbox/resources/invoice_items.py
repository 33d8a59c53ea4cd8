"""`/v1/invoiceitems`."""

from decimal import Decimal
from typing import Any

from stripe.params import (
    InvoiceItemCreateParams,
    InvoiceItemDeleteParams,
    InvoiceItemListParams,
    InvoiceItemRetrieveParams,
    InvoiceItemUpdateParams,
)

from stripe_sandbox.billing.amounts import amount_of
from stripe_sandbox.billing.discounts import Redemption, redeem
from stripe_sandbox.billing.draft_lines import add_up, find_draft, follow_item, put_on, take_off
from stripe_sandbox.billing.lines import (
    NewInvoiceItem,
    add_invoice_item,
    describe_price,
    pricing,
)
from stripe_sandbox.billing.periods import Period, earliest_end
from stripe_sandbox.billing.subscriptions import FINAL_STATUSES
from stripe_sandbox.billing.taxes import check_behavior, find_rates
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.money import check_currency
from stripe_sandbox.operations import (
    Call,
    Operation,
    is_in_range,
    listing,
    retrieve,
)
from stripe_sandbox.resources import prices
from stripe_sandbox.resources.prices import named_price
from stripe_sandbox.supported import supports
from stripe_sandbox.world import World


def create(call: Call) -> Document:
    """Create an invoice item, pending for a subscription or the customer, or on a draft."""
    world, invoice_id = call.world, call.get("invoice")
    if call.get("customer") is None:
        raise missing_param("customer")
    invoice = find_draft(world, invoice_id, "invoice") if invoice_id else None
    item = make_item(call)
    if invoice:
        put_on(world, invoice, item, "invoice")
        add_up(world, invoice)
    return world.find("invoiceitem", item["id"])


def make_item(call: Call) -> Document:
    """Store and announce the invoice item of a call, which has a `customer`."""
    customer = call.world.find("customer", call.get("customer"), "customer")
    item = add_invoice_item(call.world, customer, read_item(call, customer))
    call.world.announce("invoiceitem.created", item)
    return item


def read_item(call: Call, customer: ReadOnly) -> NewInvoiceItem:
    """Return the invoice item of a call."""
    world = call.world
    _check_subscription(call)
    price, rates = _price(call), find_rates(world, call.get("tax_rates"), "tax_rates")
    check_behavior(price, rates)
    amount, quantity = _amount(call, price), call.get("quantity", 1)
    return NewInvoiceItem(
        amount=amount,
        currency=price["currency"] if price else _currency(call),
        description=call.get("description") or (describe_price(world, price) if price else ""),
        period=_period(call, world.time_of(customer)),
        price=price,
        quantity=quantity,
        metadata=call.get("metadata", {}),
        discountable=call.get("discountable", True),
        discounts=find_discounts(
            world, call.params, customer["id"], price["currency"] if price else _currency(call)
        ),
        subscription=call.get("subscription"),
        invoice=call.get("invoice"),
        tax_rates=tuple(rates),
    )


def _check_subscription(call: Call) -> None:
    subscription_id = call.get("subscription")
    if subscription_id is None:
        return
    subscription = call.world.find("subscription", subscription_id, "subscription")
    if subscription["customer"] != call.get("customer"):
        raise invalid("The subscription does not belong to this customer.", param="subscription")
    if subscription["status"] in FINAL_STATUSES:
        message = f"Subscription {subscription_id} is canceled and cannot have new invoice items."
        raise invalid(message, param="subscription")


def _price(call: Call) -> Document | None:
    if call.get("price_data"):
        return prices.create(Call(call.world, {}, dict(call.get("price_data"))))
    price_id = call.get("pricing", {}).get("price")
    if price_id is None:
        return None
    price = prices.find_active_price(call.world, price_id, "pricing[price]")
    if price["type"] != "one_time":
        message = (
            "The price specified is set to `type=recurring` but this field only accepts prices "
            "with `type=one_time`."
        )
        raise invalid(message, param="pricing[price]")
    return price


def _amount(call: Call, price: ReadOnly | None) -> int:
    quantity = call.get("quantity", 1)
    if price is not None:
        return amount_of(price, quantity)
    if call.get("unit_amount_decimal") is not None:
        return int(Decimal(call.get("unit_amount_decimal")) * quantity)
    if call.get("amount") is None:
        raise missing_param("amount")
    return int(call.get("amount"))


def _currency(call: Call) -> str:
    if call.get("currency") is None:
        raise missing_param("currency")
    currency = str(call.get("currency")).lower()
    check_currency(currency, "currency")
    return currency


def _period(call: Call, now: int) -> Period:
    given = call.get("period")
    return Period(given["start"], given["end"]) if given else Period(now, now)


def find_discounts(
    world: World, given: ReadOnly, customer_id: str, currency: str
) -> tuple[str, ...]:
    """Redeem the `discounts` of an invoice item or a line; return their ids."""
    now = world.time_of({"customer": customer_id})
    redemption = Redemption(currency, now, customer_id)
    return tuple(redeem(world, one, redemption)["id"] for one in given.get("discounts") or [])


def one_time_charges(call: Call, subscription: ReadOnly) -> list[NewInvoiceItem]:
    """Return the invoice items of `add_invoice_items`."""
    return [
        one_time_charge(call, given, f"add_invoice_items[{index}][price]", subscription)
        for index, given in enumerate(call.get("add_invoice_items", []))
    ]


def one_time_charge(
    call: Call, given: ReadOnly, param: str, subscription: ReadOnly
) -> NewInvoiceItem:
    """Return the invoice item of one entry of `add_invoice_items`; `param` is its price param."""
    price = named_price(call, given, param, subscription["currency"])
    if price is None:
        raise missing_param(param)
    rates = find_rates(call.world, given.get("tax_rates"), param)
    check_behavior(price, rates or subscription["default_tax_rates"] or [])
    quantity, now = given.get("quantity", 1), call.world.time_of(subscription)
    return NewInvoiceItem(
        amount=amount_of(price, quantity),
        currency=price["currency"],
        description=describe_price(call.world, price),
        period=_period_of(given.get("period"), now, subscription, param.removesuffix("[price]")),
        price=price,
        quantity=quantity,
        metadata=given.get("metadata") or {},
        discountable=given.get("discountable", True),
        discounts=find_discounts(call.world, given, subscription["customer"], price["currency"]),
        subscription=subscription["id"],
        tax_rates=tuple(rates),
    )


def _period_of(bounds: ReadOnly | None, now: int, subscription: ReadOnly, path: str) -> Period:
    """Return the period of a preview's `invoice_items` (Unix times) or of `add_invoice_items`."""
    if bounds is None:
        return Period(now, now)
    path = f"{path}[period]"
    start = _bound(bounds["start"], now, subscription, f"{path}[start]")
    return Period(start, _bound(bounds["end"], now, subscription, f"{path}[end]"))


def _bound(given: Any, now: int, subscription: ReadOnly, path: str) -> int:
    """Return a bound in Unix seconds; it may be that of the subscription's items."""
    if isinstance(given, int):
        return given
    items = subscription["items"]["data"]
    if given["type"] == "now":
        return now
    if given["type"] == "max_item_period_start":
        return max(int(item["current_period_start"]) for item in items)
    if given["type"] == "min_item_period_end":
        return earliest_end(subscription)
    if given.get("timestamp") is None:
        raise missing_param(f"{path}[timestamp]")
    return int(given["timestamp"])


def _editable(call: Call) -> tuple[Document, Document | None]:
    """Return the item, and the draft that it is on; raises ApiError for a finalized invoice."""
    item = call.world.find("invoiceitem", call.id)
    if item["invoice"] is None:
        return item, None
    return item, find_draft(call.world, item["invoice"])


def update(call: Call) -> Document:
    """Update an invoice item that is pending, or on a draft."""
    item, invoice = _editable(call)
    item = call.world.save(changed(call, item))
    if invoice:
        follow_item(call.world, invoice, item)
        add_up(call.world, invoice)
    return item


def changed(call: Call, item: Document) -> Document:
    """Return an invoice item after an update of any of its params."""
    item |= call.pick("description", "discountable")
    if "tax_rates" in call.params:
        item["tax_rates"] = find_rates(call.world, call.get("tax_rates"), "tax_rates")
    if call.params.keys() & PRICED:
        item |= _priced(call, item)
    if call.get("period"):
        item["period"] = dict(call.get("period"))
    if "discounts" in call.params:
        found = find_discounts(call.world, call.params, item["customer"], item["currency"])
        item["discounts"] = list(found)
    if "metadata" in call.params:
        item["metadata"] = merge_metadata(item["metadata"], call.params["metadata"])
    return item


def _priced(call: Call, item: ReadOnly) -> Document:
    """Return the amount of an item after an update: as told, or by its price and quantity."""
    price, quantity = (
        _price(call) or _held_price(call, item),
        call.get("quantity", item["quantity"]),
    )
    unit = call.get("unit_amount_decimal", item["pricing"]["unit_amount_decimal"])
    if price and price["currency"] != item["currency"]:
        raise invalid("The currency of the price is not the invoice item's.", param="pricing")
    check_behavior(price, item["tax_rates"])
    amount = amount_of(price, quantity) if price else int(Decimal(unit) * quantity)
    amount = call.get("amount", amount)
    return {
        "amount": amount,
        "net_amount": amount,
        "pricing": pricing(price, amount // (quantity or 1)),
        "quantity": quantity,
        "quantity_decimal": str(quantity),
    }


def _held_price(call: Call, item: ReadOnly) -> ReadOnly | None:
    """Return the price that an item goes on having."""
    details = item["pricing"]["price_details"]
    if details is None or call.get("unit_amount_decimal") is not None:
        return None
    return call.world.store.peek("price", details["price"])


def delete(call: Call) -> Document:
    """Delete an invoice item that is pending, or on a draft."""
    item, invoice = _editable(call)
    call.world.store.delete("invoiceitem", call.id)
    call.world.announce("invoiceitem.deleted", item)
    if invoice:
        take_off(invoice, call.id)
        add_up(call.world, invoice)
    return {"id": call.id, "object": "invoiceitem", "deleted": True}


def _is_pending(item: ReadOnly, pending: Any) -> bool:
    return bool((item["invoice"] is None) == pending)


def _made_within(item: ReadOnly, bounds: Any) -> bool:
    return is_in_range(item["date"], bounds)


ONE_TIME = supports(
    "discountable",
    "discounts",
    "metadata",
    "period",
    "price",
    "quantity",
    "tax_rates",
    price_data=prices.AMOUNT,
)
"""What `add_invoice_items` has in every operation."""

PRICED = frozenset({"amount", "price_data", "pricing", "quantity", "unit_amount_decimal"})
"""The params that change the amount of an item."""

LINE = supports(
    "amount",
    "description",
    "discountable",
    "discounts",
    "metadata",
    "period",
    "pricing",
    "quantity",
    "tax_rates",
    price_data=prices.AMOUNT,
)
"""What an invoice item and its line on a draft have in common."""

UPDATE = supports("unit_amount_decimal", base=LINE)
CREATE = supports("currency", "customer", "invoice", "subscription", base=UPDATE)
PATH = "/invoiceitems"

OPERATIONS = (
    Operation("POST", PATH, InvoiceItemCreateParams, create, CREATE),
    Operation(
        "GET",
        PATH,
        InvoiceItemListParams,
        listing("invoiceitem", pending=_is_pending, created=_made_within),
        supports("created", "customer", "invoice", "pending"),
    ),
    Operation("GET", f"{PATH}/{{id}}", InvoiceItemRetrieveParams, retrieve("invoiceitem")),
    Operation("POST", f"{PATH}/{{id}}", InvoiceItemUpdateParams, update, UPDATE),
    Operation("DELETE", f"{PATH}/{{id}}", InvoiceItemDeleteParams, delete),
)
