"""The HTML of the payment page, and of the bank that asks to confirm a payment."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from stripe_sandbox.billing.amounts import amount_of
from stripe_sandbox.billing.cart import Cart
from stripe_sandbox.billing.checkout import asks_for_card
from stripe_sandbox.billing.lines import describe_price
from stripe_sandbox.billing.usage import is_metered
from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.hosted.checkout_details import fields_asked
from stripe_sandbox.hosted.html import CARD_FIELDS, Field, alert, field_html, mark, render_page
from stripe_sandbox.hosted.language import Language
from stripe_sandbox.world import World

HOLDER = Field("billingName", "name", "hint.name", "text", "holder")
METHOD_FIELDS = {
    "card": CARD_FIELDS,
    "link": (),
    "sepa_debit": (Field("iban", "off", "DE00 0000 0000 0000 0000 00", "text"), HOLDER),
    "us_bank_account": (
        Field("routingNumber", "off", "110000000", "numeric"),
        Field("accountNumber", "off", "000123456789", "numeric"),
        HOLDER,
    ),
}
EMAIL = Field("email", "email", "hint.email", "email")


def render_checkout(
    world: World,
    language: Language,
    session: ReadOnly,
    cart: Cart,
    lines: list[ReadOnly],
    *,
    typed: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> str:
    """Return the payment page; after a failure, with what is wrong and the buyer's input.

    Card fields stay empty.
    """
    wrong = problems or {}
    form = _order_fields(language, session, lines, typed or {}, wrong)
    form += "".join(_fields(world, language, session, typed or {}, wrong))
    body = f"""{_summary(language, session, lines)}
{_trial_note(world, language, cart)}
{_promise(session)}
{alert(wrong, form)}
<form method="post" action="/c/pay/{escape(session["id"])}">
{form}
{_submit(_button(language, cart, session))}
</form>
{back_link(language, session["cancel_url"])}"""
    return render_page(language, _title(world, language, cart), body)


def _submit(text: str) -> str:
    return (
        f'<button type="submit" data-testid="hosted-payment-submit-button">{escape(text)}</button>'
    )


def _title(world: World, language: Language, cart: Cart) -> str:
    if not cart.items:
        return language.say("title.save")
    if not cart.recurring():
        return language.say("title.pay", name=describe_price(world, cart.items[0].price))
    name = describe_price(world, cart.recurring()[0].price)
    return language.say("title.try" if cart.has_trial() else "title.subscribe", name=name)


def _button(language: Language, cart: Cart, session: ReadOnly) -> str:
    if cart.has_trial():
        return language.say("button.trial")
    if session["mode"] == "setup":
        return language.say("button.save")
    if session["mode"] == "payment" and session["amount_total"]:
        amount = language.amount(session["amount_total"], session["currency"])
        return language.say("button.pay", amount=amount)
    return language.say("button.subscribe" if session["amount_total"] else "button.complete")


def _summary(language: Language, session: ReadOnly, lines: Iterable[ReadOnly]) -> str:
    currency = session["currency"]
    if session["mode"] == "setup":
        return ""
    rows = [
        _row(_line_name(language, line), language.price(line["amount_subtotal"], currency))
        for line in lines
    ]
    discount = session["total_details"]["amount_discount"]
    if discount:
        rows.append(_row(language.say("discount"), language.amount(-discount, currency)))
    tax = session["amount_total"] - session["amount_subtotal"] + discount
    if tax:
        rows.append(_row(language.say("tax"), language.amount(tax, currency)))
    total = language.price(session["amount_total"], currency)
    rows.append(
        f'<tr class="total"><th scope="row">{escape(language.say("total"))}</th>'
        f'<td data-testid="total-due-today">{escape(total)}</td></tr>'
    )
    return f"<table>{''.join(rows)}</table>"


def _row(name: str, shown: str) -> str:
    return f'<tr><th scope="row">{escape(name)}</th><td>{escape(shown)}</td></tr>'


def _line_name(language: Language, line: ReadOnly) -> str:
    count = f" \N{MULTIPLICATION SIGN} {line['quantity']}" if (line["quantity"] or 0) > 1 else ""
    return f"{line['description']}{count}, {_term(language, line['price'])}"


def _term(language: Language, price: ReadOnly) -> str:
    recurring = price["recurring"]
    return language.say("once") if recurring is None else language.every(recurring)


def _trial_note(world: World, language: Language, cart: Cart) -> str:
    end = cart.trial_end(world.now())
    if end is None:
        return ""
    licensed = (item for item in cart.recurring() if not is_metered(item.price))
    sums = (amount_of(item.price, item.quantity) for item in licensed)
    note = language.say(
        "trial",
        day=language.day(end),
        amount=language.amount(sum(sums), cart.currency),
        term=_term(language, cart.recurring()[0].price),
    )
    return f'<p class="note">{escape(note)}</p>'


def _promise(session: ReadOnly) -> str:
    submit = session["custom_text"]["submit"]
    return f'<p class="note">{escape(submit["message"])}</p>' if submit else ""


def _fields(
    world: World,
    language: Language,
    session: ReadOnly,
    typed: Mapping[str, str],
    problems: Mapping[str, str],
) -> Iterable[str]:
    known_email = session["customer_email"] or session["customer"]
    if not known_email:
        yield field_html(language, EMAIL, typed.get("email", ""), problems)
    kinds = session["payment_method_types"] if asks_for_card(session) else []
    if len(kinds) > 1:
        yield _choice(language, kinds, typed.get("paymentMethodType"), problems)
    for field in _payment_fields(kinds):
        kept = typed.get("billingName", "") if field.name == "billingName" else ""
        yield field_html(language, field, kept, problems, needed=len(kinds) == 1)
    for field in fields_asked(world, session):
        yield field_html(language, field, typed.get(field.name, ""), problems, needed=False)


def _choice(
    language: Language, kinds: Sequence[str], chosen: str | None, problems: Mapping[str, str]
) -> str:
    """Return the field that says which type of payment method the others are filled in for."""
    options = "".join(
        f'<option value="{kind}"{" selected" * (kind == chosen)}>'
        f"{escape(language.say(f'method.{kind}'))}</option>"
        for kind in kinds
    )
    invalid, sentence = mark("paymentMethodType", problems)
    return (
        f'<label for="paymentMethodType">{escape(language.say("how"))}</label>'
        f'<select id="paymentMethodType" name="paymentMethodType"{invalid}>{options}</select>\n'
        f"{sentence}"
    )


def _payment_fields(kinds: Sequence[str]) -> list[Field]:
    """Return the fields of every type of payment method, each once."""
    return list(dict.fromkeys(field for kind in kinds for field in METHOD_FIELDS[kind]))


def _order_fields(
    language: Language,
    session: ReadOnly,
    lines: Iterable[ReadOnly],
    typed: Mapping[str, str],
    problems: Mapping[str, str],
) -> str:
    """Return the fields that change the order: quantities, and a promotion code."""
    fields = [
        _quantity(language, index, line, problems)
        for index, line in enumerate(lines)
        if _adjusts(line)
    ]
    if session["allow_promotion_codes"]:
        fields.append(_promotion_code(language, typed, problems))
    if not fields and not session["automatic_tax"]["enabled"]:
        return ""
    button = '<button type="submit" name="action" value="update" class="quiet" formnovalidate>'
    return f"{''.join(fields)}{button}{escape(language.say('button.update'))}</button>"


def _promotion_code(
    language: Language, typed: Mapping[str, str], problems: Mapping[str, str]
) -> str:
    """Return the field of a code; only one that is refused is shown again, to be mended."""
    invalid, sentence = mark("promotionCode", problems)
    kept = typed.get("promotionCode", "") if invalid else ""
    return (
        f'<label for="promotionCode">{escape(language.say("promotion_code"))}</label>'
        f'<input id="promotionCode" name="promotionCode" autocomplete="off" '
        f'value="{escape(kept)}"{invalid}>\n{sentence}'
    )


def _adjusts(line: ReadOnly) -> bool:
    return bool(line["adjustable_quantity"] and line["adjustable_quantity"]["enabled"])


def _quantity(language: Language, index: int, line: ReadOnly, problems: Mapping[str, str]) -> str:
    bounds, name = line["adjustable_quantity"], f"quantity_{index}"
    invalid, sentence = mark(name, problems)
    label = language.say("quantity_of", name=line["description"])
    return (
        f'<label for="{name}">{escape(label)}</label>'
        f'<input id="{name}" name="{name}" type="number" required '
        f'min="{bounds["minimum"]}" max="{bounds["maximum"]}" value="{line["quantity"]}"'
        f"{invalid}>\n{sentence}"
    )


def back_link(language: Language, url: str | None) -> str:
    """Return the link back to the shop, if it has an address."""
    if not url:
        return ""
    return f'<p><a href="{escape(url)}">{escape(language.say("back"))}</a></p>'


def render_authentication(language: Language, session: ReadOnly, challenge_id: str) -> str:
    """Return the 3D Secure page of the bank."""
    amount = language.amount(session["amount_total"], session["currency"])
    body = f"""<p>{escape(language.say("bank.payment", amount=amount))}</p>
<form method="post" action="/c/pay/{escape(session["id"])}">
<input type="hidden" name="challenge" value="{escape(challenge_id)}">
<button type="submit" name="authentication" value="complete"
 data-testid="authorize-payment-button">{escape(language.say("bank.complete"))}</button>
<button type="submit" name="authentication" value="fail" class="quiet"
 data-testid="fail-payment-button">{escape(language.say("bank.fail"))}</button>
</form>"""
    return render_page(language, language.say("bank.title"), body)
