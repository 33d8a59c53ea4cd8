"""The command line, `stripe-sandbox`."""

import argparse
import asyncio
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import get_args, get_type_hints

from stripe_sandbox.app import SandboxConfig
from stripe_sandbox.archive import StateFileError
from stripe_sandbox.choices import SWITCHES, Choices
from stripe_sandbox.fixtures import FixtureError
from stripe_sandbox.outbox import WebhookTarget
from stripe_sandbox.server import serve_sandbox
from stripe_sandbox.world import Dunning

MAX_PORT = 65_535
CALM_COLLECTOR = (50_000, 20, 50)
"""Objects are trees: to look for cycles among those in memory costs CPU, and finds none."""


DUNNING = {
    "final": ("--after-retries", "what becomes of a subscription after the last retry"),
    "first": ("--after-first-failure", "what becomes of a subscription whose renewal fails"),
    "resumes": ("--paid-pause", "how one that was paused so resumes when it is paid"),
}
"""The options for the fields of `Dunning`."""


def main(arguments: Sequence[str] | None = None, prog: str = "stripe-sandbox") -> None:
    """Run a sandbox until Ctrl-C; `arguments` default to those of the process."""
    config = read_config(arguments, prog)
    gc.set_threshold(*CALM_COLLECTOR)
    try:
        asyncio.run(serve_sandbox(config))
    except (FixtureError, StateFileError) as error:
        sys.exit(f"{prog}: {error}")
    except OSError as error:
        address = f"{config.host}:{config.port}"
        sys.exit(f"{prog}: cannot listen on {address}: {error.strerror}; see --port")


def read_config(
    arguments: Sequence[str] | None = None, prog: str = "stripe-sandbox"
) -> SandboxConfig:
    """Return the settings that the arguments say; exits with a sentence for wrong ones."""
    parser = _parser(prog)
    given = parser.parse_args(arguments)
    if (given.webhook_url is None) != (given.webhook_secret is None):
        parser.error("--webhook-url and --webhook-secret go together")
    if given.thin_secret and not given.webhook_url:
        parser.error("--thin-secret needs --webhook-url")
    return _config(given)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description="Run a stateful stand-in for Stripe Billing until Ctrl-C."
    )
    add = parser.add_argument
    add("--port", type=_port, default=12111, help="port to listen on (default: %(default)s)")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--public-url", metavar="URL", help="base of page addresses, if clients see another host")
    add("--webhook-url", metavar="URL", help="where to send every event")
    add("--webhook-secret", metavar="SECRET", help="secret that signs the events to --webhook-url")
    about = "secret that signs thin events, which are sent to --webhook-url, too"
    add("--thin-secret", metavar="SECRET", help=about)
    add(
        "--webhook-event",
        action="append",
        metavar="TYPE",
        help="send only events of this type; may be repeated",
    )
    add("--state", type=Path, metavar="FILE", help="keep all data in this file across restarts")
    add(
        "--fixtures",
        type=Path,
        metavar="FILE",
        help="fill a sandbox without objects from a file in the format of `stripe fixtures`",
    )
    add("--no-upcoming-ids", action="store_true", help="send invoice.upcoming without an id")
    for switch in SWITCHES:
        help_text = f"{switch.about} (default: %(default)s)"
        add(switch.option, choices=switch.ways, default=switch.ways[0], help=help_text)
    _add_dunning(add)
    add("--seed", type=int, help="make ids and delivery disturbances repeatable")
    return parser


def _add_dunning(add: Callable[..., object]) -> None:
    """Add what is set in the Dashboard at Stripe."""
    usual = Dunning()
    days = ",".join(map(str, usual.retry_days))
    about = f"days between the retries of a failed renewal (default: {days})"
    add("--retry-days", type=_days, default=usual.retry_days, metavar="DAYS", help=about)
    for name, (option, about) in DUNNING.items():
        ways, way = get_args(get_type_hints(Dunning)[name]), getattr(usual, name)
        add(option, dest=name, choices=ways, default=way, help=f"{about} (default: {way})")


def _days(text: str) -> tuple[int, ...]:
    days = text.split(",")
    if not all(day.isascii() and day.isdigit() and int(day) for day in days):
        raise argparse.ArgumentTypeError(f"{text} is not a list of days, such as 3,5,7")
    return tuple(map(int, days))


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{port} is not between 1 and {MAX_PORT}")
    return port


def _targets(given: argparse.Namespace) -> Iterator[WebhookTarget]:
    if given.webhook_url:
        events = frozenset(given.webhook_event or ["*"])
        yield WebhookTarget(given.webhook_url, given.webhook_secret, events)
    if given.thin_secret:
        yield WebhookTarget(given.webhook_url, given.thin_secret, thin=True)


def _config(given: argparse.Namespace) -> SandboxConfig:
    return SandboxConfig(
        host=given.host,
        port=given.port,
        public_url=given.public_url,
        webhooks=tuple(_targets(given)),
        state_file=given.state,
        fixtures=given.fixtures,
        seed=given.seed,
        dunning=Dunning(given.retry_days, **{name: getattr(given, name) for name in DUNNING}),
        choices=Choices(
            upcoming_invoice_ids=not given.no_upcoming_ids,
            **{switch.name: getattr(given, switch.name) for switch in SWITCHES},
        ),
    )
