"""A change of unknown outcome is settled by a person; each kind of trouble has its way."""

from mpanel_billing.console.app import MODULES
from mpanel_billing.console.settling import COMMANDS, as_on_pages, ways_of
from mpanel_billing.console.words import words_of
from mpanel_billing.database.pool import Pool
from mpanel_billing.languages import LANGUAGES
from tests.console.conftest import Console, Ids, signed_in
from tests.console.test_pages import audited
from tests.service import Service

ACTIONS = {name for pages in MODULES for name in pages.actions}


async def attempted(service: Service, ids: Ids, age: str) -> int:
    id_: int = await service.pool.fetchval(
        "INSERT INTO billing_audit_entries (actor, person, action, target_type, target_id, outcome,"
        " began_at) VALUES ('panel', 'grace', 'invoice.refund', 'invoice', $1, 'attempted',"
        " now() - $2::text::interval) RETURNING id",
        ids.invoice,
        age,
    )
    await service.pool.execute(
        "UPDATE billing_audit_unsettled SET since = now() - $1::text::interval", age
    )
    return id_


async def test_what_a_person_found_out_about_a_change_is_recorded(
    console: Console, ids: Ids
) -> None:
    service = console.service
    id_ = await attempted(service, ids, "1 hour")
    path = f"/console/audit/{id_}/settle"
    for place in ("/console/audit", "/console/trouble"):
        assert path in (await console.open(place)).links
    reader = await signed_in(service, "admin:read")
    assert path not in (await reader.open("/console/audit")).links
    shown = await console.open(path)
    assert "invoice.refund" in shown.text
    assert "grace" in shown.text
    assert (await console.post(path, shown, reason="at Stripe")).status == 422  # no outcome
    assert (await console.post(path, shown, outcome="done")).status == 422  # no reason
    assert (await console.post(path, shown, outcome="attempted", reason="x")).status == 422
    done = await console.post(path, shown, outcome="failed", reason="nothing at Stripe")
    assert done.headers["Location"] == "/console/audit?done=settled"
    log = "SELECT outcome FROM billing_audit_log WHERE action = 'invoice.refund'"
    assert await service.pool.fetchval(log) == "failed"
    assert await audited(service, "audit.settle") == [("ada.lovelace", str(id_), "done")]
    again = await console.open(path, **{"Accept-Language": "de"})
    assert (again.status, "Ausgang dieser Änderung ist bekannt" in again.text) == (409, True)


async def test_what_may_be_under_way_is_not_settled(console: Console, ids: Ids) -> None:
    id_ = await attempted(console.service, ids, "1 minute")
    path = f"/console/audit/{id_}/settle"
    early = await console.open(path)
    assert (early.status, "may still be under way" in early.text) == (409, True)
    page = await console.open("/console/preferences")
    assert (await console.post(path, page, outcome="done", reason="x")).status == 409
    for unknown in ("0", "x", "9" * 30):
        assert (await console.open(f"/console/audit/{unknown}/settle")).status == 404


async def test_a_kind_of_trouble_offers_what_its_text_names(pool: Pool) -> None:
    """Whoever reads that a command settles it finds the button for it."""
    rows = await pool.fetch("SELECT kind, settled_by, command FROM billing_trouble_kinds")
    for row in rows:
        text = f"{row['settled_by']}; {row['command']}"
        named = {action for command, action in COMMANDS.items() if command in text}
        assert named <= set(ways_of(row["kind"])), row["kind"]
        assert set(ways_of(row["kind"])) <= ACTIONS


async def test_a_kind_of_trouble_is_told_in_the_words_of_its_page(pool: Pool) -> None:
    """A page has buttons, and columns with heads: neither commands nor the names of columns."""
    rows = await pool.fetch("SELECT kind, meaning, settled_by FROM billing_trouble_kinds")
    for language in LANGUAGES:
        words = words_of(language)
        for row in rows:
            for part in ("meaning", "settled_by"):
                text = words.of_kind(part, row["kind"], row[part])
                said = as_on_pages(text, str.upper)
                assert "object_id" not in said
                assert "--" not in said
                assert not [one for one in COMMANDS if one in said], said


async def test_what_a_bank_warns_of_is_refunded_from_its_line(console: Console, ids: Ids) -> None:
    service = console.service
    charge = await service.pool.fetchval("SELECT stripe_charge_id FROM stripe_charges")
    await service.stripe.warn_of_fraud(charge)
    await service.stripe.wait_idle()
    refund = f"/console/invoices/{ids.invoice}/refund"
    for place in ("/console/trouble", f"/console/customers/{ids.customer}"):
        assert refund in (await console.open(place)).links, place
    reader = await signed_in(service, "admin:read")
    shown = await reader.open("/console/trouble")
    assert "fraud_warning" in shown.text
    assert not [link for link in shown.links if ids.invoice in link]


async def test_trouble_with_an_invoice_leads_to_it(console: Console, ids: Ids) -> None:
    await console.service.pool.execute(
        "UPDATE invoices SET stripe_status = 'draft', finalized_at = NULL,"
        " stripe_created = now() - interval '4 days'"
    )
    shown = await console.open("/console/trouble")
    assert "draft_left" in shown.text
    assert f"/console/invoices/{ids.invoice}" in shown.links
