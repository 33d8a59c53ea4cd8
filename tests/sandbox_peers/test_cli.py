"""`stripe trigger` of npm's @stripe/cli makes its events happen in the sandbox."""

import re
import subprocess
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

from tests.sandbox_peers.conftest import KEY, RunningSandbox, run_sandbox
from tests.sandbox_peers.figures import Figures, hold
from tests.sandbox_peers.packages import npm

VERSION = "1.52.0"
MISSING: dict[str, str] = {}
ELSEWHERE = "the CLI sends it to https://events.stripe.com, whatever `--api-base` says"
SKIPPED = dict.fromkeys(
    ("v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"), ELSEWHERE
)
PRODUCTS_APART = {
    "account.": "connected accounts",
    "cash_balance.": "cash balances",
    "customer_cash_balance_transaction.": "cash balances",
    "identity.": "Identity",
    "issuing_": "Issuing",
    "payment_intent.partially_funded": "cash balances",
    "reporting.": "reports",
    "transfer.": "connected accounts",
}
"""Beginnings of events that are not of Billing, and whose they are."""

LENIENT = ("--after-retries", "past_due", "--schedule-end", "completed")
OF_LENIENT = ("subscription_schedule.completed", "subscription_schedule.expiring")
"""Triggers whose customers have no card, and how the account must be set for them."""

ANNOUNCED = {
    "subscription_schedule.aborted": "subscription_schedule.canceled",
    "subscription.payment_failed": "invoice.payment_failed",
    "subscription.payment_succeeded": "invoice.payment_succeeded",
}
"""The event that a trigger of another name is for, or makes happen: it cancels the schedule."""


def product_apart(event: str) -> str | None:
    return next((of for prefix, of in PRODUCTS_APART.items() if event.startswith(prefix)), None)


class Cli:
    """The CLI's binary; `settings` is where it keeps its own."""

    def __init__(self, installed: Path, settings: Path) -> None:
        self._program = next(installed.glob("node_modules/@stripe/cli-*/bin/stripe*"))
        self._environment = {
            "XDG_CONFIG_HOME": str(settings),
            "STRIPE_CLI_TELEMETRY_OPTOUT": "1",
            "PATH": "/usr/bin:/bin",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def events(self) -> list[str]:
        told = self.run("trigger", "--help").stdout
        return told.partition("Supported events:")[2].partition("Usage:")[0].split()

    def trigger(self, event: str, sandbox: RunningSandbox) -> str | None:
        """Trigger an event; return why it has not come, if so."""
        wanted = ANNOUNCED.get(event, event)
        known = {one["id"] for one in sandbox.everything(f"/v1/events?type={wanted}")}
        done = self.run("trigger", event, "--api-base", sandbox.url, "--api-key", KEY)
        if done.returncode:
            told = done.stdout + done.stderr
            message = re.search(r'"message": "(.*?)"', told)
            return message.group(1) if message else told[-300:]
        for days in (0, 14):
            if days:
                sandbox.pass_days(days)
                sandbox.pass_days_of_clocks(days)
            come = {one["id"] for one in sandbox.everything(f"/v1/events?type={wanted}")}
            if come - known:
                return None
        return f"no {wanted} has come, nor in the two weeks after"


def triggered(cli: Cli, events: Iterable[str], sandbox: RunningSandbox) -> dict[str, str | None]:
    return {event: cli.trigger(event, sandbox) for event in events}


def test_every_trigger_makes_its_event_happen(folder, sandbox, tmp_path):
    cli = Cli(npm(folder, "stripe-cli", f"@stripe/cli@{VERSION}"), tmp_path)
    supported = cli.events()
    products = {event: product_apart(event) for event in supported}
    outside = {event: product for event, product in products.items() if product}
    wanted = [event for event in supported if event not in {*outside, *SKIPPED}]
    usual = [event for event in wanted if event not in {*MISSING, *OF_LENIENT}]
    outcomes = triggered(cli, usual, sandbox)
    with contextmanager(run_sandbox)(*LENIENT) as lenient:
        outcomes |= triggered(cli, OF_LENIENT, lenient)
    failed = {event: why for event, why in outcomes.items() if why}
    passed = len(outcomes) - len(failed)
    hold(Figures("npm `@stripe/cli`", VERSION, passed, len(wanted), MISSING, SKIPPED, outside))
    assert not failed, "\n".join(f"{event}: {why}" for event, why in failed.items())
