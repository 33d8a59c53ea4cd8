"""The HTML of the hosted pages: no scripts, one column, labelled fields."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from string import Template

from stripe_sandbox.billing.amounts import amount_of
from stripe_sandbox.billing.cart import Cart
from stripe_sandbox.billing.checkout import asks_for_card
from stripe_sandbox.billing.lines import describe_price
from stripe_sandbox.billing.usage import is_metered
from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.hosted.checkout_details import fields_asked
from stripe_sandbox.money import format_amount
from stripe_sandbox.world import World

STYLE = """
:root { color-scheme: light; font: 16px/1.5 system-ui, sans-serif; color: #1a1f36; }
body { margin: 0 auto; max-width: 30rem; padding: 1rem; background: #fff; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; }
table { border-collapse: collapse; width: 100%; }
td, th { padding: .375rem 0; text-align: left; vertical-align: top; font-weight: normal; }
td:last-child { text-align: right; white-space: nowrap; padding-left: 1rem; }
tr.total > * { border-top: 1px solid #697386; font-weight: 600; }
label { display: block; margin-top: .75rem; font-weight: 600; }
input, select { box-sizing: border-box; width: 100%; font: inherit; padding: .5rem;
  border: 1px solid #697386; border-radius: .25rem; }
input[aria-invalid] { border-color: #b3093c; }
button { box-sizing: border-box; width: 100%; font: inherit; font-weight: 600; margin-top: 1rem;
  padding: .75rem; border: 0; border-radius: .25rem; background: #0055de; color: #fff; }
button.quiet { background: #fff; color: #1a1f36; border: 1px solid #697386; }
:focus-visible { outline: 3px solid #0055de; outline-offset: 2px; }
[role=alert] { margin: 1rem 0; padding: .75rem; border-left: .25rem solid #b3093c;
  background: #fdf0f3; color: #8a0630; }
.note { color: #4f566b; }
.mode { display: inline-block; padding: 0 .5rem; border-radius: .25rem; background: #ffde92; }
"""

PAGE = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header><p class="mode">Sandbox: no real money moves</p></header>
<main>
<h1>$title</h1>
$body
</main>
</body>
</html>
"""
)

CARD_FIELDS = (
    ("cardNumber", "Card number", "cc-number", "1234 1234 1234 1234", "numeric"),
    ("cardExpiry", "Expiry (MM / YY)", "cc-exp", "MM / YY", "numeric"),
    ("cardCvc", "Security code (CVC)", "cc-csc", "CVC", "numeric"),
    ("billingName", "Cardholder name", "cc-name", "Full name on card", "text"),
)
NAME_FIELD = ("billingName", "Account holder", "name", "Full name", "text")
METHOD_FIELDS = {
    "card": CARD_FIELDS,
    "link": (),
    "sepa_debit": (("iban", "IBAN", "off", "DE00 0000 0000 0000 0000 00", "text"), NAME_FIELD),
    "us_bank_account": (
        ("routingNumber", "Routing number", "off", "110000000", "numeric"),
        ("accountNumber", "Account number", "off", "000123456789", "numeric"),
        NAME_FIELD,
    ),
}
METHOD_NAMES = {
    "card": "Card",
    "link": "Link",
    "sepa_debit": "SEPA debit",
    "us_bank_account": "US bank account",
}
EMAIL_FIELD = ("email", "Email", "email", "you@example.com", "email")


def render_page(title: str, body: str) -> str:
    """Return a page; the title is text, the body is HTML."""
    return PAGE.substitute(title=escape(title), style=STYLE, body=body)


def render_notice(title: str, sentence: str, link: tuple[str, str] | None = None) -> str:
    """Return a page with a sentence and a (text, URL) link."""
    body = f"<p>{escape(sentence)}</p>"
    if link:
        body += f'<p><a href="{escape(link[1])}">{escape(link[0])}</a></p>'
    return render_page(title, body)


def not_found() -> str:
    """Return the page for an unknown id."""
    return render_notice(
        "Something went wrong", "The page you were looking for could not be found."
    )


def card_fields(wrong_field: str | None = None) -> str:
    """Return the fields of a card, empty."""
    return "".join(_field(field, "", wrong_field) for field in CARD_FIELDS)


def render_checkout(
    world: World,
    session: ReadOnly,
    cart: Cart,
    lines: list[ReadOnly],
    *,
    typed: Mapping[str, str] | None = None,
    error: str | None = None,
    wrong_field: str | None = None,
) -> str:
    """Return the payment page; after a failure, with the error and the buyer's input.

    Card fields stay empty.
    """
    alert = f'<div role="alert" id="problem">{escape(error)}</div>' if error else ""
    form = "".join(_fields(world, session, typed or {}, wrong_field))
    body = f"""{_summary(session, lines)}
{_trial_note(world, cart)}
{_promise(session)}
{alert}
<form method="post" action="/c/pay/{escape(session["id"])}">
{_order_fields(session, lines)}
{form}
<button type="submit" data-testid="hosted-payment-submit-button">{_button(cart, session)}</button>
</form>
{_back_link(session)}"""
    return render_page(_title(cart, world), body)


def _title(cart: Cart, world: World) -> str:
    if not cart.items:
        return "Save your payment details"
    if not cart.recurring():
        return f"Pay for {describe_price(world, cart.items[0].price)}"
    verb = "Try" if cart.has_trial() else "Subscribe to"
    return f"{verb} {describe_price(world, cart.recurring()[0].price)}"


def _button(cart: Cart, session: ReadOnly) -> str:
    if cart.has_trial():
        return "Start trial"
    if session["mode"] == "setup":
        return "Save"
    if session["mode"] == "payment" and session["amount_total"]:
        return f"Pay {escape(format_amount(session['amount_total'], session['currency']))}"
    return "Subscribe" if session["amount_total"] else "Complete order"


def _summary(session: ReadOnly, lines: Iterable[ReadOnly]) -> str:
    currency = session["currency"]
    if session["mode"] == "setup":
        return ""
    rows = [_row(_line_name(line), line["amount_subtotal"], currency) for line in lines]
    discount = session["total_details"]["amount_discount"]
    if discount:
        rows.append(_row("Discount", -discount, currency))
    tax = session["amount_total"] - session["amount_subtotal"] + discount
    if tax:
        rows.append(_row("Tax", tax, currency))
    total = format_amount(session["amount_total"], currency)
    rows.append(
        f'<tr class="total"><th scope="row">Total due today</th>'
        f'<td data-testid="total-due-today">{escape(total)}</td></tr>'
    )
    return f"<table>{''.join(rows)}</table>"


def _row(name: str, amount: int, currency: str) -> str:
    shown = format_amount(amount, currency)
    return f'<tr><th scope="row">{escape(name)}</th><td>{escape(shown)}</td></tr>'


def _line_name(line: ReadOnly) -> str:
    count = f" \N{MULTIPLICATION SIGN} {line['quantity']}" if (line["quantity"] or 0) > 1 else ""
    return f"{line['description']}{count}{_term(line['price'])}"


def _term(price: ReadOnly) -> str:
    recurring = price["recurring"]
    if recurring is None:
        return ", once"
    count = recurring["interval_count"]
    return (
        f", every {recurring['interval']}"
        if count == 1
        else (f", every {count} {recurring['interval']}s")
    )


def _trial_note(world: World, cart: Cart) -> str:
    end = cart.trial_end(world.now())
    if end is None:
        return ""
    licensed = (item for item in cart.recurring() if not is_metered(item.price))
    sums = (amount_of(item.price, item.quantity) for item in licensed)
    later = format_amount(sum(sums), cart.currency)
    term = _term(cart.recurring()[0].price).removeprefix(", ")
    day = datetime.fromtimestamp(end, UTC).strftime("%-d %B %Y")
    return f'<p class="note">Free trial until {day}, then {escape(later)} {term}.</p>'


def _promise(session: ReadOnly) -> str:
    submit = session["custom_text"]["submit"]
    return f'<p class="note">{escape(submit["message"])}</p>' if submit else ""


def _fields(
    world: World, session: ReadOnly, typed: Mapping[str, str], wrong_field: str | None
) -> Iterable[str]:
    known_email = session["customer_email"] or session["customer"]
    if not known_email:
        yield _field(EMAIL_FIELD, typed.get("email", ""), wrong_field)
    kinds = session["payment_method_types"] if asks_for_card(session) else []
    if len(kinds) > 1:
        yield _choice(kinds, typed.get("paymentMethodType"))
    for field in _payment_fields(kinds):
        kept = typed.get("billingName", "") if field[0] == "billingName" else ""
        yield _field(field, kept, wrong_field, needed=len(kinds) == 1)
    for field in fields_asked(world, session):
        yield _field(field, typed.get(field[0], ""), wrong_field, needed=False)


def _choice(kinds: Sequence[str], chosen: str | None) -> str:
    """Return the field that says which type of payment method the others are filled in for."""
    options = "".join(
        f'<option value="{kind}"{" selected" * (kind == chosen)}>{METHOD_NAMES[kind]}</option>'
        for kind in kinds
    )
    return (
        '<label for="paymentMethodType">How do you want to pay?</label>'
        f'<select id="paymentMethodType" name="paymentMethodType">{options}</select>\n'
    )


def _payment_fields(kinds: Sequence[str]) -> list[tuple[str, str, str, str, str]]:
    """Return the fields of every type of payment method, each once."""
    return list(dict.fromkeys(field for kind in kinds for field in METHOD_FIELDS[kind]))


def _field(
    field: tuple[str, str, str, str, str],
    value: str,
    wrong_field: str | None,
    *,
    needed: bool = True,
) -> str:
    name, label, autocomplete, hint, mode = field
    invalid = ' aria-invalid="true" aria-describedby="problem"' if name == wrong_field else ""
    return (
        f'<label for="{name}">{label}</label>'
        f'<input id="{name}" name="{name}" autocomplete="{autocomplete}" placeholder="{hint}" '
        f'inputmode="{mode}" value="{escape(value)}"{" required" * needed}{invalid}>\n'
    )


def _order_fields(session: ReadOnly, lines: Iterable[ReadOnly]) -> str:
    """Return the fields that change the order: quantities, and a promotion code."""
    fields = [_quantity(index, line) for index, line in enumerate(lines) if _adjusts(line)]
    if session["allow_promotion_codes"]:
        fields.append(
            '<label for="promotionCode">Promotion code</label>'
            '<input id="promotionCode" name="promotionCode" autocomplete="off">\n'
        )
    if not fields and not session["automatic_tax"]["enabled"]:
        return ""
    button = '<button type="submit" name="action" value="update" class="quiet" formnovalidate>'
    return f"{''.join(fields)}{button}Update order</button>"


def _adjusts(line: ReadOnly) -> bool:
    return bool(line["adjustable_quantity"] and line["adjustable_quantity"]["enabled"])


def _quantity(index: int, line: ReadOnly) -> str:
    bounds = line["adjustable_quantity"]
    return (
        f'<label for="quantity_{index}">Quantity of {escape(line["description"])}</label>'
        f'<input id="quantity_{index}" name="quantity_{index}" type="number" required '
        f'min="{bounds["minimum"]}" max="{bounds["maximum"]}" value="{line["quantity"]}">\n'
    )


def _back_link(session: ReadOnly) -> str:
    if not session["cancel_url"]:
        return ""
    return f'<p><a href="{escape(session["cancel_url"])}">Back</a></p>'


def render_authentication(session: ReadOnly, challenge_id: str) -> str:
    """Return the 3D Secure page of the bank."""
    amount = format_amount(session["amount_total"], session["currency"])
    body = f"""<p>Your bank asks you to confirm this payment of {escape(amount)}.</p>
<form method="post" action="/c/pay/{escape(session["id"])}">
<input type="hidden" name="challenge" value="{escape(challenge_id)}">
<button type="submit" name="authentication" value="complete"
 data-testid="authorize-payment-button">Complete authentication</button>
<button type="submit" name="authentication" value="fail" class="quiet"
 data-testid="fail-payment-button">Fail authentication</button>
</form>"""
    return render_page("Confirm your payment", body)
