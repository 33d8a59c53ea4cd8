"""`mpanel-billing find`: who a customer is, by an id, an address, a domain or a name."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from mpanel_billing.cli.database import with_mirror, with_pool
from mpanel_billing.cli.output import print_line
from mpanel_billing.errors import NotFoundError
from mpanel_billing.search import service
from mpanel_billing.search.repository import Match
from mpanel_billing.search.service import Found, FoundCustomer
from mpanel_billing.search.stripe_ids import is_asked_for


def find(
    what: Annotated[
        list[str],
        typer.Argument(
            help="Any id, ours or Stripe's, an invoice's number, an e-mail address, a domain, or"
            " words of a name."
        ),
    ],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of customers.")] = 25,
) -> None:
    """Find customers by any id, an e-mail address, a domain or a name."""
    text = " ".join(what)
    if is_asked_for(text):
        found = with_mirror(lambda mirror: service.find(mirror.pool, text, limit, mirror.stripe))
    else:
        found = with_pool(lambda pool: service.find(pool, text, limit))
    for line in describe(found):
        print_line(line)
    if not found.customers and not found.strays:
        raise NotFoundError(f"Nothing found for {text}.")


def describe(found: Found) -> Iterator[str]:
    """Return the lines of a list of what was found."""
    for customer in found.customers:
        yield from _customer_lines(customer)
    for stray in found.strays:
        yield f"{stray.object_type} {stray.object_id} has no customer record"
    if found.is_cut:
        yield "there are more; raise --limit"


def _customer_lines(found: FoundCustomer) -> Iterator[str]:
    yield f"customer {found.customer['id']}  {name_of(found.customer)}{_seen(found.matches)}"
    if found.customer["joined_id"]:
        yield f"  has joined {found.customer['joined_id']}"
    for subscription in found.subscriptions:
        yield f"  {_subscription_text(subscription)}"
    unseen = found.customer["subscription_count"] - len(found.subscriptions)
    if unseen > 0:
        yield f"  and {unseen} more subscriptions"


def name_of(customer: Mapping[str, Any]) -> str:
    """Return a customer's name, company and e-mail address, as far as they are known."""
    names = [customer[key] for key in ("name", "company_name") if customer[key]]
    address = f"<{customer['email']}>" if customer["email"] else ""
    return " ".join(filter(None, (", ".join(names), address))) or "(no name)"


def _seen(matches: Sequence[Match]) -> str:
    """Say by which objects a customer was found, unless their line shows it."""
    shown = {"customer", "email", "name"}
    seen = [f"{m.object_type} {m.object_id}" for m in matches if m.object_type not in shown]
    return f"  ({', '.join(dict.fromkeys(seen))})" if seen else ""


def _subscription_text(row: Mapping[str, Any]) -> str:
    end = row["current_period_end"]
    parts = (
        f"subscription {row['id']}",
        " ".join(filter(None, (row["plan_id"], row["billing_cycle"]))),
        row["status"],
        row["stripe_subscription_id"],
        f"to {end:%Y-%m-%d}" if end else None,
        row["domain"],
        row["dunning"],
    )
    return "  ".join(filter(None, parts))
