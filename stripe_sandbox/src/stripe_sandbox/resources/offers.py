"""`/v1/payment_links` and `/v1/quotes`: line items that a customer may buy later."""

from stripe.params import (
    PaymentLinkCreateParams,
    PaymentLinkLineItemListParams,
    PaymentLinkListParams,
    PaymentLinkRetrieveParams,
    PaymentLinkUpdateParams,
    QuoteAcceptParams,
    QuoteCancelParams,
    QuoteCreateParams,
    QuoteFinalizeQuoteParams,
    QuoteLineItemListParams,
    QuoteListComputedUpfrontLineItemsParams,
    QuoteListParams,
    QuoteRetrieveParams,
    QuoteUpdateParams,
)

from stripe_sandbox.billing.cart import Cart, price_cart
from stripe_sandbox.billing.quotes import (
    KIND,
    LINES,
    accept_quote,
    finalize_quote,
    make_quote,
    set_status,
)
from stripe_sandbox.billing.subscriptions import PricedItem
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import missing_param
from stripe_sandbox.operations import Call, Listing, Operation, listing, retrieve
from stripe_sandbox.resources import subscriptions
from stripe_sandbox.resources.prices import named_price
from stripe_sandbox.supported import supports
from stripe_sandbox.world import World

LINK = "payment_link"


def _cart(call: Call) -> Cart:
    items = []
    for index, given in enumerate(call.get("line_items") or []):
        param = f"line_items[{index}][price]"
        price = named_price(call, given, param)
        if price is None:
            raise missing_param(param)
        items.append(PricedItem(price, given.get("quantity") or 1))
    if not items:
        raise missing_param("line_items")
    return Cart(items)


def _keep_lines(world: World, owner_id: str, lines: list[Document]) -> None:
    world.store.put(LINES, {"id": owner_id, "line_items": lines})


def _lines_of(kind: str, call: Call) -> list[ReadOnly]:
    call.world.find(kind, call.id)
    return list((call.world.store.peek(LINES, call.id) or {"line_items": []})["line_items"])


def create_link(call: Call) -> Document:
    """Create a payment link."""
    world, cart = call.world, _cart(call)
    link_id = world.ids.next("plink")
    link = world.add(
        {
            "id": link_id,
            "object": LINK,
            "active": True,
            "after_completion": {"hosted_confirmation": {}, "type": "hosted_confirmation"},
            "allow_promotion_codes": call.get("allow_promotion_codes", False),
            "automatic_tax": {"enabled": False},
            "billing_address_collection": call.get("billing_address_collection", "auto"),
            "currency": cart.currency,
            "custom_fields": [],
            "custom_text": {},
            "customer_creation": "always" if cart.recurring() else "if_required",
            "inactive_message": call.get("inactive_message"),
            "livemode": False,
            "metadata": call.get("metadata", {}),
            "payment_method_collection": "always",
            "phone_number_collection": {"enabled": False},
            "shipping_options": [],
            "submit_type": call.get("submit_type", "auto"),
            "tax_id_collection": {"enabled": False, "required": "never"},
            "url": f"{world.base_url}/l/{link_id}",
        }
    )
    _keep_lines(world, link["id"], price_cart(world, cart, None))
    world.announce("payment_link.created", link)
    return link


def update_link(call: Call) -> Document:
    """Update a payment link."""
    link = call.world.find(LINK, call.id)
    link |= call.pick("active", *SAID)
    if "metadata" in call.params:
        link["metadata"] = merge_metadata(link["metadata"], call.params["metadata"])
    return call.world.change(link)


def list_link_lines(call: Call) -> Listing:
    """List a payment link's line items."""
    return Listing(_lines_of(LINK, call))


def create_quote(call: Call) -> Document:
    """Create a draft of a quote."""
    world, cart = call.world, _cart(call)
    if call.get("customer"):
        world.find("customer", call.get("customer"), "customer")
    lines = price_cart(world, cart, call.get("customer"))
    said = call.pick("collection_method", "customer", "description", "expires_at", *NOTES)
    said["metadata"] = call.get("metadata", {})
    quote = make_quote(world, said, lines)
    _keep_lines(world, quote["id"], lines)
    world.announce("quote.created", quote)
    return quote


def update_quote(call: Call) -> Document:
    """Update a draft of a quote."""
    quote = call.world.find(KIND, call.id)
    set_status(quote, "draft", frozenset({"draft"}), "updated")
    quote |= call.pick("collection_method", "customer", "description", "expires_at", *NOTES)
    if "metadata" in call.params:
        quote["metadata"] = merge_metadata(quote["metadata"], call.params["metadata"])
    return call.world.save(quote)


def finalize(call: Call) -> Document:
    """Finalize a draft: the customer can accept it now."""
    return finalize_quote(call.world, call.world.find(KIND, call.id), call.get("expires_at"))


def accept(call: Call) -> Document:
    """Accept a quote: what recurs becomes a subscription, anything else an invoice."""

    def subscribe(quote: ReadOnly, items: list[Document], once: list[Document]) -> Document:
        params = {"customer": quote["customer"], "items": items, "metadata": quote["metadata"]}
        return subscriptions.create(Call(call.world, {}, {**params, "add_invoice_items": once}))

    return accept_quote(call.world, call.world.find(KIND, call.id), subscribe)


def cancel(call: Call) -> Document:
    """Cancel a quote."""
    quote = call.world.find(KIND, call.id)
    set_status(quote, "canceled", frozenset({"draft", "open"}), "canceled")
    quote["status_transitions"]["canceled_at"] = call.world.time_of(quote)
    quote = call.world.save(quote)
    call.world.announce("quote.canceled", quote)
    return quote


def list_quote_lines(call: Call) -> Listing:
    """List a quote's line items."""
    return Listing(_lines_of(KIND, call))


SAID = ("allow_promotion_codes", "billing_address_collection", "inactive_message", "submit_type")
NOTES = ("footer", "header")
QUOTED = supports("collection_method", "customer", "description", "expires_at", "metadata", *NOTES)
LINKS, QUOTES = "/payment_links", "/quotes"
LINE = supports("price", "quantity")

OPERATIONS = (
    Operation(
        "POST",
        LINKS,
        PaymentLinkCreateParams,
        create_link,
        supports("metadata", *SAID, line_items=LINE),
    ),
    Operation("GET", LINKS, PaymentLinkListParams, listing(LINK), supports("active")),
    Operation("GET", f"{LINKS}/{{id}}", PaymentLinkRetrieveParams, retrieve(LINK)),
    Operation(
        "POST",
        f"{LINKS}/{{id}}",
        PaymentLinkUpdateParams,
        update_link,
        supports("active", "metadata", *SAID),
    ),
    Operation("GET", f"{LINKS}/{{id}}/line_items", PaymentLinkLineItemListParams, list_link_lines),
    Operation(
        "POST", QUOTES, QuoteCreateParams, create_quote, supports(base=QUOTED, line_items=LINE)
    ),
    Operation("GET", QUOTES, QuoteListParams, listing(KIND), supports("customer", "status")),
    Operation("GET", f"{QUOTES}/{{id}}", QuoteRetrieveParams, retrieve(KIND)),
    Operation("POST", f"{QUOTES}/{{id}}", QuoteUpdateParams, update_quote, QUOTED),
    Operation(
        "POST",
        f"{QUOTES}/{{id}}/finalize",
        QuoteFinalizeQuoteParams,
        finalize,
        supports("expires_at"),
    ),
    Operation("POST", f"{QUOTES}/{{id}}/accept", QuoteAcceptParams, accept),
    Operation("POST", f"{QUOTES}/{{id}}/cancel", QuoteCancelParams, cancel),
    Operation("GET", f"{QUOTES}/{{id}}/line_items", QuoteLineItemListParams, list_quote_lines),
    Operation(
        "GET",
        f"{QUOTES}/{{id}}/computed_upfront_line_items",
        QuoteListComputedUpfrontLineItemsParams,
        list_quote_lines,
    ),
)
