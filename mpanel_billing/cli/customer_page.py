"""`mpanel-billing customers show` and `entitlements`: a customer's page in the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from mpanel_billing.cli.find import name_of
from mpanel_billing.cli.output import moment_text
from mpanel_billing.money import format_money
from mpanel_billing.search.customer import (
    MOST_CHANGES,
    MOST_INVOICES,
    MOST_SUBSCRIPTIONS,
    CustomerPage,
    Row,
)
from mpanel_billing.subscriptions.entitlements import Granted


def describe_customer(page: CustomerPage) -> Iterator[str]:
    """Return the lines of the page."""
    yield from _who(page.customer)
    yield from _section("trouble", map(_trouble, page.trouble))
    yield from _section(
        "subscriptions",
        (line for row in page.subscriptions for line in _subscription(row)),
        _cut("latest", page.subscriptions, MOST_SUBSCRIPTIONS),
    )
    yield from _section(
        "invoices", map(_invoice, page.invoices), _cut("latest", page.invoices, MOST_INVOICES)
    )
    yield from _section(
        "changes", map(_change, page.changes), _cut("latest", page.changes, MOST_CHANGES)
    )


def describe_entitlement(granted: Granted) -> Iterator[str]:
    """Return the lines of what one subscription entitles to."""
    held, desired = granted.held, granted.desired
    yield _joined(
        held.subscription_id,
        held.domain,
        _joined(desired.phase, desired.reason and f"({desired.reason})", between=" "),
        granted.until and f"until {moment_text(granted.until)}",
    )
    for product in held.products:
        yield f"  {product.kind} {product.code} x {product.quantity}"
    for product_type, service in desired.services.items():
        limits = ", ".join(f"{name} {value}" for name, value in service.resources.items())
        yield _joined(f"  {product_type}", service.state, limits)


def _who(customer: Row) -> Iterator[str]:
    yield f"{name_of(customer)}  customer {customer['id']}"
    facts = {
        "account in mPanel": customer["user_id"],
        "at Stripe": ", ".join(customer["stripe_customer_ids"]),
        "address": customer["address"],
        "phone": customer["phone"],
        "tax id": customer["tax_id"],
        "since": _day(customer["created_at"]),
        "has joined": customer["joined_id"],
        "erased": customer["erased_at"],
    }
    yield from (f"  {name:<18} {value}" for name, value in facts.items() if value)


def _section(title: str, lines: Iterator[str], note: str = "") -> Iterator[str]:
    """Return a heading and its lines; a heading that says so if there are none."""
    listed = list(lines)
    yield ""
    yield f"{title}{note}" if listed else f"{title}: none"
    yield from (f"  {line}" for line in listed)


def _cut(word: str, rows: Sequence[Row], most: int) -> str:
    return f" (the {word} {most})" if len(rows) == most else ""


def _trouble(row: Row) -> str:
    return f"{moment_text(row['since'])}  {row['trouble']:<20}  {row['detail']}"


def _subscription(row: Row) -> Iterator[str]:
    yield _joined(
        row["subscription_id"],
        _joined(row["plan"] or "not from our checkout", row["billing_cycle"], between=" "),
        row["status"],
        _amount(row, "amount"),
        row["tenant_domain"],
    )
    yield from (f"  {line}" for line in filter(None, _details(row)))


def _details(row: Row) -> Iterator[str]:
    yield _joined(_at_stripe(row), _term(row))
    yield row["dunning"] or ""
    yield row["services"] or ""
    yield f"discounts: {row['discounts']}" if row["discounts"] else ""
    yield f"suspended by an operator: {row['held_for']}" if row["held_for"] else ""


def _at_stripe(row: Row) -> str:
    if row["stripe_subscription_id"] is None:
        return "not paid yet"
    return f"{row['stripe_subscription_id']} {row['stripe_status']}"


_TERMS = {"trialing": "on trial to", "past_due": "not paid, to", "unpaid": "not paid, to"}


def _term(row: Row) -> str:
    end = row["current_period_end"]
    if end is None:
        return ""
    until = f"{_TERMS.get(row['stripe_status'], 'paid to')} {_day(end)}"
    if row["will_end"]:
        return f"{until}, then ends"
    charge = _amount(row, "next_charge")
    return f"{until}, then {charge}" if charge else until


def _invoice(row: Row) -> str:
    return _joined(
        _day(row["stripe_created"]),
        row["stripe_number"] or "(no number yet)",
        row["stripe_status"],
        f"{_amount(row, 'amount_paid')} of {_amount(row, 'amount_due')}",
        f"with tax {_amount(row, 'total_tax')}" if row["total_tax"] else "",
        f"refunded {_amount(row, 'amount_refunded')}" if row["amount_refunded"] else "",
        f"next attempt {_day(row['next_payment_attempt'])}" if row["next_payment_attempt"] else "",
        row["stripe_invoice_id"],
    )


def _change(row: Row) -> str:
    by = _joined(row["actor"], f"for {row['person']}" if row["person"] else "", between=" ")
    error = f": {row['error']}" if row["error"] else ""
    return f"{moment_text(row['began_at'])}  {row['action']}  by {by}  {row['outcome']}{error}"


def _amount(row: Mapping[str, Any], name: str) -> str:
    if row[name] is None or row["currency"] is None:
        return ""
    return format_money(row[name], row["currency"])


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""


def _joined(*parts: object, between: str = "  ") -> str:
    return between.join(str(part) for part in parts if part)
