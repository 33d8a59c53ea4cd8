"""The HTML of the customer portal."""

from collections.abc import Iterable
from html import escape

from stripe_sandbox.billing.portal_actions import REASONS
from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.hosted.html import card_fields
from stripe_sandbox.money import format_amount

DETAILS = {
    "email": ("Email", "email"),
    "name": ("Name", "name"),
    "phone": ("Phone", "phone"),
}
ADDRESS = {
    "line1": ("Address", "billingAddressLine1"),
    "city": ("City", "billingLocality"),
    "postal_code": ("Postal code", "billingPostalCode"),
    "country": ("Country", "billingCountry"),
}


def form(heading: str, body: str, action: str, label: str, *, quiet: bool = False) -> str:
    """Return a form with one button; the body is HTML."""
    style = ' class="quiet"' if quiet else ""
    return f"""<form method="post">
<h2>{escape(heading)}</h2>
{body}
<button type="submit" name="action" value="{action}"{style}>{escape(label)}</button>
</form>"""


def field(label: str, name: str, value: str | None = "") -> str:
    """Return a labelled field that may stay empty."""
    return (
        f'<label for="{name}">{escape(label)}</label>'
        f'<input id="{name}" name="{name}" value="{escape(value or "")}">\n'
    )


def _of(subscription: ReadOnly) -> str:
    ends = ", will be cancelled" if subscription["cancel_at"] is not None else ""
    return (
        f'<p class="note">{escape(subscription["status"])}{ends}</p>'
        f'<input type="hidden" name="subscription" value="{escape(subscription["id"])}">'
    )


def _title(subscription: ReadOnly) -> str:
    return str(subscription["description"] or subscription["id"])


def subscription_form(subscription: ReadOnly, features: ReadOnly | None, *, cancels: bool) -> str:
    """Return a subscription, with a button to cancel or to keep it."""
    body = _of(subscription)
    if not cancels:
        return f"<h2>{escape(_title(subscription))}</h2>{body}"
    if subscription["cancel_at"] is not None:
        return form(_title(subscription), body, "keep", "Don't cancel", quiet=True)
    body += _reasons(features)
    return form(_title(subscription), body, "cancel", "Cancel subscription", quiet=True)


def _reasons(features: ReadOnly | None) -> str:
    settings = features["subscription_cancel"]["cancellation_reason"] if features else None
    if settings and not settings["enabled"]:
        return ""
    offered = (settings or {}).get("options") or REASONS
    options = "".join(
        f'<option value="{escape(one)}">{escape(one.replace("_", " "))}</option>' for one in offered
    )
    return f"""<label>Why do you cancel? (optional)
<select name="feedback"><option value=""></option>{options}</select></label>
<label>Anything else? (optional) <input name="comment"></label>"""


def offer_form(subscription: ReadOnly, coupon: ReadOnly) -> str:
    """Return the offer to stay with a coupon."""
    if coupon["percent_off"]:
        less = f"{coupon['percent_off']:g}%"
    else:
        less = format_amount(coupon["amount_off"], coupon["currency"])
    return form(f"Stay, and pay {less} less", _of(subscription), "offer", "Accept the offer")


def plan_form(subscription: ReadOnly, prices: Iterable[tuple[ReadOnly, str]]) -> str:
    """Return the choice of another price for the only item; each price comes with its name."""
    options = "".join(
        f'<option value="{escape(price["id"])}">{escape(name)}</option>' for price, name in prices
    )
    if not options:
        return ""
    quantity = str(subscription["items"]["data"][0]["quantity"] or 1)
    body = (
        f'{_of(subscription)}<label for="price">Plan</label>'
        f'<select id="price" name="price">{options}</select>'
        + field("Quantity", "quantity", quantity)
    )
    return form(f"Change {_title(subscription)}", body, "update", "Change plan")


def pause_form(subscription: ReadOnly, features: ReadOnly) -> str:
    """Return the choice of how long to pause, or a button to resume what is paused."""
    heading = f"Pause {_title(subscription)}"
    if subscription["status"] == "paused":
        return form(heading, _of(subscription), "resume", "Resume", quiet=True)
    options = "".join(
        f'<option value="{place}">{escape(_duration(one))}</option>'
        for place, one in enumerate(features["subscription_pause"]["duration"]["interval_options"])
    )
    choice = f'<label>For how long?\n<select name="duration">{options}</select></label>'
    body = _of(subscription) + (choice if options else "")
    return form(heading, body, "pause", "Pause subscription", quiet=True)


def _duration(option: ReadOnly) -> str:
    count = option["interval_count"]
    return f"{count} {option['interval']}{'s' if count > 1 else ''}"


def confirm_form(subscription: ReadOnly) -> str:
    """Return the confirmation of a change that the link has made already."""
    return form(f"Change {_title(subscription)}", _of(subscription), "confirm", "Confirm")


def card_form(wrong_field: str | None) -> str:
    """Return the form of another card."""
    return form("Payment method", card_fields(wrong_field), "card", "Use this card")


def customer_form(customer: ReadOnly, allowed: list[str]) -> str:
    """Return the details that the customer may change, if any."""
    fields = [
        field(label, name, customer[name])
        for name, (label, _) in DETAILS.items()
        if name in allowed
    ]
    if "address" in allowed:
        known = customer["address"] or {}
        fields += [field(label, name, known.get(part)) for part, (label, name) in ADDRESS.items()]
    if "tax_id" in allowed:
        fields += [field("Tax ID type", "taxIdType"), field("Tax ID", "taxId")]
    return form("Your details", "".join(fields), "customer", "Save") if fields else ""


def invoice_row(invoice: ReadOnly) -> str:
    """Return a row of the list of invoices."""
    total = escape(format_amount(invoice["total"], invoice["currency"]))
    link = f'<a href="/i/{escape(invoice["id"])}">{escape(invoice["number"])}</a>'
    return f"<tr><td>{link}</td><td>{escape(invoice['status'])}</td><td>{total}</td></tr>"
