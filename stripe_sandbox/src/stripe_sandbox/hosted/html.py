"""The frame of the hosted pages, and their fields: no scripts, one column, labels."""

from collections.abc import Mapping
from html import escape
from string import Template
from typing import NamedTuple

from stripe_sandbox.hosted.language import Language

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
[aria-invalid] { border-color: #b3093c; }
button { box-sizing: border-box; width: 100%; font: inherit; font-weight: 600; margin-top: 1rem;
  padding: .75rem; border: 0; border-radius: .25rem; background: #0055de; color: #fff; }
button.quiet { background: #fff; color: #1a1f36; border: 1px solid #697386; }
:focus-visible { outline: 3px solid #0055de; outline-offset: 2px; }
[role=alert] p { margin: 0; }
[role=alert] a { color: inherit; }
[role=alert] { margin: 1rem 0; padding: .75rem; border-left: .25rem solid #b3093c;
  background: #fdf0f3; color: #8a0630; }
.wrong { margin: .25rem 0 0; color: #b3093c; }
.note { color: #4f566b; }
.mode { display: inline-block; padding: 0 .5rem; border-radius: .25rem; background: #ffde92; }
"""

PAGE = Template(
    """<!DOCTYPE html>
<html lang="$code">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header><p class="mode">$sandbox</p></header>
<main>
<h1>$title</h1>
$body
</main>
</body>
</html>
"""
)


class Field(NamedTuple):
    """A field of a form; `label` is its name in the catalogue, unless that is the field's own.

    So is a hint that begins with `hint.`.
    """

    name: str
    autocomplete: str
    hint: str
    mode: str
    label: str = ""


CARD_FIELDS = (
    Field("cardNumber", "cc-number", "1234 1234 1234 1234", "numeric"),
    Field("cardExpiry", "cc-exp", "hint.cardExpiry", "numeric"),
    Field("cardCvc", "cc-csc", "hint.cardCvc", "numeric"),
    Field("billingName", "cc-name", "hint.cardholder", "text", "cardholder"),
)


def render_page(language: Language, title: str, body: str) -> str:
    """Return a page; the title is text, the body is HTML."""
    sandbox = language.say("sandbox")
    return PAGE.substitute(
        code=language.code, title=escape(title), style=STYLE, body=body, sandbox=escape(sandbox)
    )


def render_notice(
    language: Language, title: str, sentence: str, link: tuple[str, str] | None = None
) -> str:
    """Return a page with a sentence and a (text, URL) link."""
    body = f"<p>{escape(sentence)}</p>"
    if link:
        body += f'<p><a href="{escape(link[1])}">{escape(link[0])}</a></p>'
    return render_page(language, title, body)


def not_found(language: Language) -> str:
    """Return the page for an unknown id."""
    return render_notice(language, language.say("something_wrong"), language.say("not_found"))


def alert(problems: Mapping[str, str], form: str = "") -> str:
    """Return all that is wrong, each with a link to its field in the form, if it is there."""
    if not problems:
        return ""
    said = (
        f'<p><a href="#{field}">{escape(sentence)}</a></p>'
        if field and f'id="{field}"' in form
        else f"<p>{escape(sentence)}</p>"
        for field, sentence in problems.items()
    )
    return f'<div role="alert" id="problem">{"".join(said)}</div>'


def mark(name: str, problems: Mapping[str, str]) -> tuple[str, str]:
    """Return the attributes of a field that is wrong, and the sentence below it."""
    if name not in problems:
        return "", ""
    return (
        f' aria-invalid="true" aria-describedby="{name}-problem"',
        f'<p class="wrong" id="{name}-problem">{escape(problems[name])}</p>\n',
    )


def field_html(
    language: Language,
    field: Field,
    value: str,
    problems: Mapping[str, str],
    *,
    needed: bool = True,
) -> str:
    """Return a labelled field; if it is wrong, marked and with a sentence."""
    invalid, sentence = mark(field.name, problems)
    label = language.say(f"field.{field.label or field.name}")
    hint = language.say(field.hint) if field.hint.startswith("hint.") else field.hint
    return (
        f'<label for="{field.name}">{escape(label)}</label>'
        f'<input id="{field.name}" name="{field.name}" autocomplete="{field.autocomplete}" '
        f'placeholder="{escape(hint)}" inputmode="{field.mode}" value="{escape(value)}"'
        f"{' required' * needed}{invalid}>\n{sentence}"
    )


def card_fields(language: Language, problems: Mapping[str, str]) -> str:
    """Return the fields of a card, empty."""
    return "".join(field_html(language, field, "", problems) for field in CARD_FIELDS)
