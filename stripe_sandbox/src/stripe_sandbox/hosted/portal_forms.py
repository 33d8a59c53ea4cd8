"""The HTML of the customer portal."""

from collections.abc import Iterable, Mapping
from html import escape

from stripe_sandbox.billing.portal_actions import REASONS
from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.hosted.html import Field, card_fields, field_html, mark
from stripe_sandbox.hosted.language import Language

DETAILS = {
    "email": Field("email", "email", "", "email"),
    "name": Field("name", "name", "", "text"),
    "phone": Field("phone", "tel", "", "tel"),
}
ADDRESS = {
    "line1": Field("billingAddressLine1", "address-line1", "", "text"),
    "city": Field("billingLocality", "address-level2", "", "text"),
    "postal_code": Field("billingPostalCode", "postal-code", "", "text"),
    "country": Field("billingCountry", "country", "", "text"),
}
TAX_ID = (Field("taxIdType", "off", "eu_vat", "text"), Field("taxId", "off", "", "text"))
QUANTITY = Field("quantity", "off", "", "numeric", "quantity")


def form(heading: str, body: str, action: str, label: str, *, quiet: bool = False) -> str:
    """Return a form with one button; the body is HTML."""
    style = ' class="quiet"' if quiet else ""
    return f"""<form method="post">
<h2>{escape(heading)}</h2>
{body}
<button type="submit" name="action" value="{action}"{style}>{escape(label)}</button>
</form>"""


def login_form(language: Language) -> str:
    """Return the form at which customers ask for a link to their portal."""
    body = field_html(language, DETAILS["email"], "", {})
    return form(language.say("login.address"), body, "login", language.say("login.continue"))


def _of(language: Language, subscription: ReadOnly) -> str:
    status = language.status(subscription["status"])
    if subscription["cancel_at"] is not None:
        status = language.say("portal.ending", status=status)
    return (
        f'<p class="note">{escape(status)}</p>'
        f'<input type="hidden" name="subscription" value="{escape(subscription["id"])}">'
    )


def _title(subscription: ReadOnly) -> str:
    return str(subscription["description"] or subscription["id"])


def subscription_form(
    language: Language, subscription: ReadOnly, features: ReadOnly | None, *, cancels: bool
) -> str:
    """Return a subscription, with a button to cancel or to keep it."""
    title, body = _title(subscription), _of(language, subscription)
    if not cancels:
        return f"<h2>{escape(title)}</h2>{body}"
    if subscription["cancel_at"] is not None:
        return form(title, body, "keep", language.say("portal.keep"), quiet=True)
    body += _reasons(language, features)
    return form(title, body, "cancel", language.say("portal.cancel"), quiet=True)


def _reasons(language: Language, features: ReadOnly | None) -> str:
    settings = features["subscription_cancel"]["cancellation_reason"] if features else None
    if settings and not settings["enabled"]:
        return ""
    offered = (settings or {}).get("options") or REASONS
    options = "".join(
        f'<option value="{escape(one)}">{escape(language.say(f"reason.{one}"))}</option>'
        for one in offered
    )
    return f"""<label>{escape(language.say("portal.why"))}
<select name="feedback"><option value=""></option>{options}</select></label>
<label>{escape(language.say("portal.comment"))} <input name="comment"></label>"""


def offer_form(language: Language, subscription: ReadOnly, coupon: ReadOnly) -> str:
    """Return the offer to stay with a coupon."""
    if coupon["percent_off"]:
        less = language.percent(coupon["percent_off"])
    else:
        less = language.amount(coupon["amount_off"], coupon["currency"])
    heading = language.say("portal.stay", amount=less)
    return form(heading, _of(language, subscription), "offer", language.say("portal.accept"))


def plan_form(
    language: Language,
    subscription: ReadOnly,
    prices: Iterable[tuple[ReadOnly, str]],
    problems: Mapping[str, str],
) -> str:
    """Return the choice of another price for the only item; each price comes with its name."""
    options = "".join(
        f'<option value="{escape(price["id"])}">{escape(name)}</option>' for price, name in prices
    )
    if not options:
        return ""
    quantity = str(subscription["items"]["data"][0]["quantity"] or 1)
    invalid, sentence = mark("price", problems)
    body = (
        f'{_of(language, subscription)}<label for="price">{escape(language.say("portal.plan"))}'
        f'</label><select id="price" name="price"{invalid}>{options}</select>{sentence}'
        + field_html(language, QUANTITY, quantity, problems)
    )
    heading = language.say("portal.change", name=_title(subscription))
    return form(heading, body, "update", language.say("portal.change_plan"))


def pause_form(language: Language, subscription: ReadOnly, features: ReadOnly) -> str:
    """Return the choice of how long to pause, or a button to resume what is paused."""
    heading = language.say("portal.pause", name=_title(subscription))
    body = _of(language, subscription)
    if subscription["status"] == "paused":
        return form(heading, body, "resume", language.say("portal.resume"), quiet=True)
    options = "".join(
        f'<option value="{place}">{escape(language.span(one))}</option>'
        for place, one in enumerate(features["subscription_pause"]["duration"]["interval_options"])
    )
    if options:
        question = escape(language.say("portal.how_long"))
        body += f'<label>{question}\n<select name="duration">{options}</select></label>'
    return form(heading, body, "pause", language.say("portal.pause_button"), quiet=True)


def confirm_form(language: Language, subscription: ReadOnly) -> str:
    """Return the confirmation of a change that the link has made already."""
    heading = language.say("portal.change", name=_title(subscription))
    return form(heading, _of(language, subscription), "confirm", language.say("portal.confirm"))


def card_form(language: Language, problems: Mapping[str, str]) -> str:
    """Return the form of another card."""
    fields, button = card_fields(language, problems), language.say("portal.use_card")
    return form(language.say("portal.method"), fields, "card", button)


def customer_form(
    language: Language, customer: ReadOnly, allowed: list[str], problems: Mapping[str, str]
) -> str:
    """Return the details that the customer may change, if any."""
    known = customer["address"] or {}
    shown = [(field, customer[name]) for name, field in DETAILS.items() if name in allowed]
    if "address" in allowed:
        shown += [(field, known.get(part)) for part, field in ADDRESS.items()]
    if "tax_id" in allowed:
        shown += [(field, "") for field in TAX_ID]
    fields = [
        field_html(language, field, value or "", problems, needed=False) for field, value in shown
    ]
    if not fields:
        return ""
    heading, button = language.say("portal.details"), language.say("portal.save")
    return form(heading, "".join(fields), "customer", button)


def invoice_row(language: Language, invoice: ReadOnly) -> str:
    """Return a row of the list of invoices."""
    total = escape(language.amount(invoice["total"], invoice["currency"]))
    link = f'<a href="/i/{escape(invoice["id"])}">{escape(invoice["number"])}</a>'
    status = escape(language.status(invoice["status"]))
    return f"<tr><td>{link}</td><td>{status}</td><td>{total}</td></tr>"
