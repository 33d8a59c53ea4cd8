"""The HTML of the dashboard: no scripts, lists that fit a small screen."""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from html import escape
from string import Template
from urllib.parse import quote

from stripe_sandbox.documents import ReadOnly, id_of
from stripe_sandbox.money import format_amount
from stripe_sandbox.world import World

STYLE = """
:root { color-scheme: light; font: 16px/1.5 system-ui, sans-serif; color: #1a1f36; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: #fff; }
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.125rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
nav, .row { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; }
ul { list-style: none; margin: 0; padding: 0; }
li { padding: .5rem 0; border-top: 1px solid #d5dbe1; overflow-wrap: anywhere; }
a { color: #0047b8; }
label { font-weight: 600; }
input { box-sizing: border-box; font: inherit; padding: .5rem; width: 100%; max-width: 24rem;
  border: 1px solid #697386; border-radius: .25rem; }
button { font: inherit; font-weight: 600; padding: .5rem .75rem; border: 0; border-radius: .25rem;
  background: #0055de; color: #fff; }
:focus-visible { outline: 3px solid #0055de; outline-offset: 2px; }
[role=alert] { margin: 1rem 0; padding: .75rem; border-left: .25rem solid #b3093c;
  background: #fdf0f3; color: #8a0630; }
.note { color: #4f566b; }
.status { padding: 0 .375rem; border-radius: .25rem; background: #e7ecf2; }
.mode { display: inline-block; margin: 0; padding: 0 .5rem; border-radius: .25rem;
  background: #ffde92; }
pre { margin: 0; font-size: .875rem; white-space: pre-wrap; overflow-wrap: anywhere; }
"""

PAGE = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title - Stripe sandbox</title>
<style>$style</style>
</head>
<body>
<header>
<p class="mode">Sandbox: no real money moves</p>
<nav aria-label="Sections">$sections</nav>
</header>
<main>
<h1>$title</h1>
$body
</main>
</body>
</html>
"""
)

SECTIONS = {
    "customers": "customer",
    "subscriptions": "subscription",
    "invoices": "invoice",
    "events": "event",
    "clocks": "test_helpers.test_clock",
}
"""Lists by their name in the address, and the kind of object that each has."""

MOVES = {"hour": "An hour", "day": "A day", "month": "A month", "renewal": "To the next renewal"}
"""How far a button moves a clock."""

ID = re.compile(r"&quot;([a-z]+_[A-Za-z0-9_]+)&quot;")


def render_page(title: str, body: str) -> str:
    """Return a page; the title is text, the body is HTML."""
    links = [("/", "Overview"), *((f"/dashboard/{name}", name.title()) for name in SECTIONS)]
    links.append(("/dashboard/requests", "Requests"))
    sections = " ".join(f'<a href="{path}">{label}</a>' for path, label in links)
    return PAGE.substitute(title=escape(title), style=STYLE, sections=sections, body=body)


def render_problem(title: str, sentence: str) -> str:
    """Return a page that says what went wrong."""
    return render_page(title, f'<div role="alert">{escape(sentence)}</div>{SEARCH}')


SEARCH = """<form action="/dashboard/find" class="row" role="search">
<label for="id">Find by id</label>
<input id="id" name="id" required autocomplete="off" spellcheck="false">
<button type="submit">Find</button>
</form>"""


def shown_time(moment: float) -> str:
    """Return a Unix time as text, in UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def link_to(object_id: str) -> str:
    """Return a link to an object's page."""
    return f'<a href="{escape(path_of(object_id))}">{escape(object_id)}</a>'


def path_of(object_id: str) -> str:
    """Return the path of an object's page."""
    return f"/dashboard/objects/{quote(object_id, safe='')}"


def clock_buttons(clock_id: str | None = None) -> str:
    """Return the buttons that move a clock; None is the sandbox's own."""
    name = f"Move {clock_id or 'the clock'}"
    buttons = "".join(
        f'<button type="submit" name="by" value="{by}">{label}</button>'
        for by, label in MOVES.items()
    )
    return f"""<form method="post" action="/dashboard/clock" class="row"
 aria-label="{escape(name)}">
<input type="hidden" name="test_clock" value="{escape(clock_id or "")}">
{buttons}
</form>"""


def render_list(documents: Iterable[ReadOnly], world: World) -> str:
    """Return a list of objects, one line each."""
    rows = "".join(f"<li>{_row(document, world)}</li>" for document in documents)
    return f"<ul>{rows}</ul>" if rows else '<p class="note">There are none.</p>'


def _row(document: ReadOnly, world: World) -> str:
    shown = ROWS.get(document["object"], _plain)(document)
    status = f' <span class="status">{escape(str(shown[0]))}</span>' if shown[0] else ""
    created = escape(shown_time(document["created"])) if "created" in document else ""
    facts = " &middot; ".join(escape(str(fact)) for fact in shown[1:] if fact)
    return f'{link_to(document["id"])}{status} {facts} <span class="note">{created}</span>'


def _plain(_: ReadOnly) -> tuple[str, ...]:
    return ("",)


def _customer(customer: ReadOnly) -> tuple[str, ...]:
    return ("", customer["name"] or "", customer["email"] or "")


def _subscription(subscription: ReadOnly) -> tuple[str, ...]:
    ends = min(item["current_period_end"] for item in subscription["items"]["data"])
    return subscription["status"], str(id_of(subscription["customer"])), f"until {shown_time(ends)}"


def _invoice(invoice: ReadOnly) -> tuple[str, ...]:
    total = format_amount(invoice["total"], invoice["currency"])
    return invoice["status"], total, invoice["number"] or "", str(id_of(invoice["customer"]))


def _event(event: ReadOnly) -> tuple[str, ...]:
    waiting = event["pending_webhooks"]
    about = event["data"]["object"].get("id", "")
    return event["type"], about, f"{waiting} webhooks to be delivered" if waiting else ""


def _clock(clock: ReadOnly) -> tuple[str, ...]:
    return clock["status"], clock["name"] or "", shown_time(clock["frozen_time"])


ROWS: dict[str, Callable[[ReadOnly], tuple[str, ...]]] = {
    "customer": _customer,
    "event": _event,
    "invoice": _invoice,
    "subscription": _subscription,
    "test_helpers.test_clock": _clock,
}
"""What a line of a list says: the status, then other facts."""


def render_json(document: ReadOnly, is_known: Callable[[str], bool]) -> str:
    """Return an object's JSON, with links at the ids of objects that exist."""

    def link(found: re.Match[str]) -> str:
        return f"&quot;{link_to(found[1])}&quot;" if is_known(found[1]) else found[0]

    return f"<pre>{ID.sub(link, escape(json.dumps(document, indent=2)))}</pre>"


def render_delivery(delivery: ReadOnly) -> str:
    """Return a webhook with its attempts, and a button that sends it again."""
    attempts = "".join(
        f"<li>{escape(shown_time(one['at']))}: {escape(str(one['status'] or one['error']))}</li>"
        for one in delivery["attempts"]
    )
    return f"""<h3>{escape(delivery["url"])}</h3>
<p><span class="status">{escape(delivery["state"])}</span></p>
<ul>{attempts}</ul>
<form method="post" action="/dashboard/deliveries/{escape(delivery["id"])}">
<button type="submit" aria-label="Resend to {escape(delivery["url"])}">Resend</button>
</form>"""


def render_request(entry: ReadOnly) -> str:
    """Return a recorded API request."""
    error = entry["error"] or {}
    line = f"{entry['method']} {entry['path']}"
    params = json.dumps(entry["params"], indent=2) if entry["params"] else ""
    return f"""<li>{escape(line)} <span class="status">{entry["status"] or "cut"}</span>
{escape(error.get("message", ""))} <span class="note">{escape(shown_time(entry["created"]))}</span>
{f"<pre>{escape(params)}</pre>" if params else ""}</li>"""
