"""A customer with more than their page shows, who owes in several currencies."""

import re

from tests.console.conftest import Console, Ids, signed_in

FURTHER = """
INSERT INTO invoices
SELECT further.*
FROM invoices AS i
CROSS JOIN generate_series(1, 60) AS n
CROSS JOIN LATERAL jsonb_populate_record(i, jsonb_build_object(
    'id', gen_random_uuid(),
    'invoice_number', 'in_' || n,
    'stripe_invoice_id', 'in_' || n,
    'stripe_number', 'N-' || n,
    'stripe_created', i.stripe_created - n * interval '1 day'
)) AS further
"""

DISPUTES = """
INSERT INTO stripe_disputes (stripe_dispute_id, livemode, stripe_charge_id, status, reason, amount, currency,
    fee, fee_currency, movements, is_charge_refundable, evidence_due_at, has_evidence, submissions, stripe_created, stripe_as_of_since,
    stripe_as_of)
SELECT 'du_' || n, c.livemode, c.stripe_charge_id, CASE WHEN n > 55 THEN 'won' ELSE 'needs_response' END, 'duplicate',
    799, 'usd', 1500, 'usd', 1, FALSE, now() + n * interval '1 hour', FALSE, 0, now() - n * interval '1 hour',
    now(), now()
FROM (SELECT * FROM stripe_charges ORDER BY stripe_charge_id LIMIT 1) AS c
CROSS JOIN generate_series(1, 60) AS n
"""  # noqa: E501


async def test_every_invoice_is_reached_page_by_page(console: Console, ids: Ids) -> None:
    assert (
        "These are the latest"
        not in (await console.open(f"/console/customers/{ids.customer}")).text
    )
    await console.service.pool.execute(FURTHER)
    shown = await console.open(f"/console/customers/{ids.customer}")
    assert "These are the latest 10." in shown.text
    for place in (
        f"/console/customers/{ids.customer}",
        f"/console/subscriptions/{ids.subscription}",
    ):
        assert f"{place}/invoices" in (await console.open(place)).links
        path, seen = f"{place}/invoices", set()
        while path:
            page = await console.open(path)
            assert page.status == 200
            seen |= {one for one in page.links if one.startswith("/console/invoices/")}
            found = re.search(r'href="([^"]+)">Earlier ones', page.html)
            path = found[1].replace("&amp;", "&") if found else ""
        assert len({one for one in seen if one.count("/") == 3}) == 61


async def test_what_is_owed_is_added_up_by_currency(console: Console, ids: Ids) -> None:
    pool = console.service.pool
    place = f"/console/customers/{ids.customer}"
    assert "Owes nothing" in (await console.open(place)).text
    await pool.execute(FURTHER)
    await pool.execute(
        "UPDATE invoices SET stripe_status = 'open', amount_remaining = 5000, currency ="
        " CASE stripe_number WHEN 'N-59' THEN 'JPY' WHEN 'N-58' THEN 'KWD' ELSE currency END"
        " WHERE stripe_number IN ('N-57', 'N-58', 'N-59', 'N-60')"
    )
    owes = (await console.open(place)).text
    for amount in (
        "¥5,000 · open invoices: 1",
        "5.000 KWD · open invoices: 1",
        "$100.00 · open invoices: 2",
    ):
        assert amount in owes.replace("KWD 5.000", "5.000 KWD")
    listed = await console.open(f"{place}/invoices?status=open")
    assert len({one for one in listed.links if re.fullmatch(r"/console/invoices/[^/]+", one)}) == 4


async def test_all_subscriptions_are_listed_and_of_billing_only_what_the_key_may(
    console: Console, ids: Ids
) -> None:
    place = f"/console/customers/{ids.customer}"
    shown = await console.open(f"{place}/subscriptions")
    assert f"/console/subscriptions/{ids.subscription}" in shown.links
    assert "$" in shown.text
    desk = await signed_in(console.service, "admin:read")
    shown = await desk.open(f"{place}/subscriptions")
    assert (shown.status, "$" in shown.text) == (200, False)
    assert (await desk.open(f"{place}/invoices")).status == 403
    assert (await console.open(f"{place}/invoices?after=nonsense")).status == 422


async def test_every_dispute_is_reached_and_a_cut_list_says_so(console: Console, ids: Ids) -> None:
    await console.service.pool.execute(DISPUTES)
    shown = await console.open("/console/disputes")
    assert "There are more than these." in shown.text
    path, seen = "/console/disputes?all=1", []
    while path:
        page = await console.open(path)
        seen += [page.html.count('class="number">$7.99')]
        found = re.search(r'href="([^"]+)">Earlier ones', page.html)
        path = found[1].replace("&amp;", "&") if found else ""
    assert seen == [50, 10]
