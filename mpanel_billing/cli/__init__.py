"""The command line, `mpanel-billing`.

This module loads nothing but what its lists need: loading the program takes far longer than
printing them.
"""

import sys
from collections.abc import Iterator

from mpanel_billing import __version__

COMMANDS = {
    "serve": "mpanel_billing.cli.serve:serve",
    "worker": "mpanel_billing.cli.worker:worker",
    "migrate": "mpanel_billing.cli.migrate:app",
    "database": "mpanel_billing.cli.grants:app",
    "catalog": "mpanel_billing.cli.catalog:app",
    "events": "mpanel_billing.cli.events:app",
    "provision": "mpanel_billing.cli.provision:app",
    "domains": "mpanel_billing.cli.domain_proofs:app",
    "find": "mpanel_billing.cli.find:find",
    "customers": "mpanel_billing.cli.customers:app",
    "refund": "mpanel_billing.cli.money_back:refund",
    "credit": "mpanel_billing.cli.money_back:credit",
    "balance": "mpanel_billing.cli.balance:app",
    "disputes": "mpanel_billing.cli.disputes:app",
    "deleted": "mpanel_billing.cli.deleted:app",
    "change": "mpanel_billing.cli.subscriptions:change",
    "undo-change": "mpanel_billing.cli.subscriptions:undo_change",
    "cancel": "mpanel_billing.cli.ending:cancel",
    "end": "mpanel_billing.cli.ending:end",
    "trial": "mpanel_billing.cli.ending:trial",
    "offer": "mpanel_billing.cli.ending:offer",
    "coupons": "mpanel_billing.cli.coupons:app",
    "charge": "mpanel_billing.cli.charge:app",
    "invoice": "mpanel_billing.cli.invoice:app",
    "usage": "mpanel_billing.cli.usage:app",
    "tax": "mpanel_billing.cli.tax:app",
    "figures": "mpanel_billing.cli.figures:app",
    "pause": "mpanel_billing.cli.subscriptions:pause",
    "resume": "mpanel_billing.cli.subscriptions:resume",
    "reconcile": "mpanel_billing.cli.reconcile:reconcile",
    "timeline": "mpanel_billing.cli.provision:timeline",
    "keys": "mpanel_billing.cli.keys:app",
    "audit": "mpanel_billing.cli.audit:app",
    "receivers": "mpanel_billing.cli.receivers:app",
    "deliveries": "mpanel_billing.cli.deliveries:app",
    "doctor": "mpanel_billing.cli.doctor:doctor",
    "stripe": "mpanel_billing.cli.stripe:app",
    "prune": "mpanel_billing.cli.prune:prune",
    "unpack": "mpanel_billing.cli.unpack:unpack",
    "sandbox": "mpanel_billing.cli.sandbox:sandbox",
    "dev": "mpanel_billing.cli.dev:dev",
}
"""Module and attribute of each command or group of commands."""

SENTENCES = {
    "serve": "Serve the HTTP API on HOST and PORT until SIGINT or SIGTERM.",
    "worker": "Provision, refetch from Stripe and retry events until SIGINT or SIGTERM.",
    "migrate": "Bring the database's schema up to date.",
    "database": "Roles of the database.",
    "catalog": "The catalogue: check its file, apply it to the database, push it to Stripe.",
    "events": "List, show and replay Stripe events.",
    "provision": "Inspect provisioning, and get it unstuck.",
    "domains": "Domains: who has which name, and the state of its registration.",
    "find": "Find customers by any id, an e-mail address, a domain or a name.",
    "customers": "Show a customer; export or erase what is held about a person (docs/privacy.md).",
    "refund": "Refund what was paid of an invoice, or a part of it, to where it came from.",
    "credit": "Issue a credit note for an invoice, or a part of it.",
    "balance": "Customers' balances: what Stripe applies to their next invoice.",
    "disputes": "List and show disputes, and answer them (docs/disputes.md).",
    "deleted": "Decide about subscriptions whose rows mPanel deleted.",
    "change": "Change the plan, term or add-ons of a subscription, or show what that costs.",
    "undo-change": "Keep the plan: undo a change that is planned for the end of the term.",
    "cancel": "Cancel a subscription at the end of its term, or now; nothing is given back.",
    "end": "End a subscription now, and give back the time that was paid for and is not used.",
    "trial": "Extend a trial with --until, else end it: the subscription is charged now.",
    "offer": "Show what a customer who wants to cancel is offered; --take gives it to them.",
    "coupons": "Coupons: what codes take off, who has redeemed them, and who gets them.",
    "charge": "Charge a subscription once, with its next invoice.",
    "invoice": "What an invoice is for, and what is done about it.",
    "usage": "Usage that is billed: what it comes to, and what nobody is billed for.",
    "tax": "Taxes: what is to be declared, and of which subscriptions.",
    "figures": "Figures: revenue, how it changes and what brings it, cohorts, cash, as CSV.",
    "pause": "Pause a subscription; `resume` ends the pause.",
    "resume": "Undo a planned cancellation, or a pause: then a new term is charged now.",
    "reconcile": "Compare the mirror with Stripe and the accounts, and repair what differs.",
    "timeline": "Show all on record about a subscription: events, sessions, calls, state.",
    "keys": "API keys for /api/admin and /api/billing.",
    "audit": "Changes made with a key or a command.",
    "receivers": "Receivers of messages: who is told about changes (docs/messages.md).",
    "deliveries": "List, show and resend messages to mPanel.",
    "doctor": "Check settings, database, schema, catalogue, Stripe, webhooks, worker and queue.",
    "stripe": "Set up the Stripe account.",
    "prune": "Prune events, logs, keys and the personal data of unpaid orders after KEEP_..._DAYS.",
    "unpack": (
        "Write the example settings, catalogue, systemd units, documents and others to a folder."
    ),
    "sandbox": "Run the Stripe sandbox until Ctrl-C; takes the options of `stripe-sandbox`.",
    "dev": "Run PostgreSQL, the Stripe sandbox, the API and the worker here until Ctrl-C.",
}
"""What each does, for the list of commands; `--help` of the command says it too."""

ABOUT = "Sell hosting plans through Stripe, mirror Stripe in PostgreSQL, provision tenants."

WRONG_SETTINGS = 78
"""The exit status if settings are missing or wrong: starting again cannot help (EX_CONFIG)."""


def main() -> None:
    """Run the command that the arguments name, or list the commands."""
    arguments = sys.argv[1:]
    if arguments in (["--help"], []):
        sys.stdout.write("\n".join(_help_lines()) + "\n")
        sys.exit(0 if arguments else 2)
    if arguments == ["--version"]:
        sys.stdout.write(f"{__version__}\n")
        return
    from mpanel_billing.cli.program import run  # noqa: PLC0415 - see above

    run(arguments)


def _help_lines() -> Iterator[str]:
    yield from ("Usage: mpanel-billing [OPTIONS] COMMAND [ARGS]...", "", ABOUT, "", "Options:")
    yield from ("  --version  Print the version.", "  --help     Show this message and exit.")
    yield from ("", "Commands (COMMAND --help says more):")
    width = max(map(len, SENTENCES))
    yield from (f"  {name:<{width}}  {sentence}" for name, sentence in SENTENCES.items())
