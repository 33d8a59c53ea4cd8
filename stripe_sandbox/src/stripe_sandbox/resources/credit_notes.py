"""`/v1/credit_notes`."""

from stripe.params import (
    CreditNoteCreateParams,
    CreditNoteLineItemListParams,
    CreditNoteListParams,
    CreditNotePreviewLinesParams,
    CreditNotePreviewParams,
    CreditNoteRetrieveParams,
    CreditNoteUpdateParams,
    CreditNoteVoidCreditNoteParams,
)

from stripe_sandbox.billing.credit_note_lines import lines_of_note
from stripe_sandbox.billing.credit_notes import KIND, NewCreditNote, issue_note, void_note
from stripe_sandbox.billing.dunning import settle
from stripe_sandbox.documents import Document, merge_metadata
from stripe_sandbox.operations import Call, Listing, Operation, listing, retrieve
from stripe_sandbox.supported import one_of, supports


def create(call: Call) -> Document:
    """Issue a credit note for a finalized invoice."""
    world = call.world
    invoice = world.find("invoice", call.params["invoice"], "invoice")
    was_open = invoice["status"] == "open"
    note = issue_note(world, invoice, _new(call))
    invoice = world.find("invoice", invoice["id"])
    if was_open and invoice["status"] == "paid":
        settle(world, invoice, failed=False)
    return note


def _new(call: Call) -> NewCreditNote:
    return NewCreditNote(
        amount=call.get("amount"),
        lines=call.get("lines", []),
        to_card=call.get("refund_amount", 0),
        to_balance=call.get("credit_amount", 0),
        out_of_band=call.get("out_of_band_amount", 0),
        refunds=call.get("refunds", []),
        reason=call.get("reason"),
        memo=call.get("memo"),
        metadata=call.get("metadata", {}),
        effective_at=call.get("effective_at"),
    )


def preview(call: Call) -> Document:
    """Return the credit note that these params would make, without making it."""
    with call.world.store.rehearsal():
        return create(call)


def preview_lines(call: Call) -> Listing:
    """List the lines of the credit note that these params would make."""
    with call.world.store.rehearsal():
        invoice = call.world.find("invoice", call.params["invoice"], "invoice")
        amount, lines = call.get("amount"), call.get("lines", [])
        return Listing(lines_of_note(call.world, invoice, amount, lines))


def list_lines(call: Call) -> Listing:
    """List the lines of a credit note."""
    return Listing(call.world.find(KIND, call.id)["lines"]["data"])


def update(call: Call) -> Document:
    """Update a credit note's memo and metadata."""
    note = call.world.find(KIND, call.id)
    note |= call.pick("memo")
    if "metadata" in call.params:
        note["metadata"] = merge_metadata(note["metadata"] or {}, call.params["metadata"])
    return call.world.change(note)


def void(call: Call) -> Document:
    """Void a credit note of an open invoice."""
    return void_note(call.world, call.world.find(KIND, call.id))


PATH = "/credit_notes"
ONE = f"{PATH}/{{id}}"
LINES = supports(
    "amount", "description", "invoice_line_item", "quantity", "tax_rates", "type", "unit_amount"
)
LINED = supports("amount", "invoice", lines=LINES)
NEW = supports(
    "credit_amount",
    "effective_at",
    "memo",
    "metadata",
    "out_of_band_amount",
    "reason",
    "refund_amount",
    base=LINED,
    refunds=supports("amount_refunded", "refund", type=one_of("refund")),
)

OPERATIONS = (
    Operation("POST", PATH, CreditNoteCreateParams, create, NEW),
    Operation(
        "GET",
        PATH,
        CreditNoteListParams,
        listing(KIND),
        supports("created", "customer", "invoice"),
    ),
    Operation("GET", f"{PATH}/preview", CreditNotePreviewParams, preview, NEW),
    Operation("GET", f"{PATH}/preview/lines", CreditNotePreviewLinesParams, preview_lines, LINED),
    Operation("GET", ONE, CreditNoteRetrieveParams, retrieve(KIND)),
    Operation("POST", ONE, CreditNoteUpdateParams, update, supports("memo", "metadata")),
    Operation("GET", f"{ONE}/lines", CreditNoteLineItemListParams, list_lines),
    Operation("POST", f"{ONE}/void", CreditNoteVoidCreditNoteParams, void),
)
