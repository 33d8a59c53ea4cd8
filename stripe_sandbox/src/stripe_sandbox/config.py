"""What a sandbox is started with."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

DEFAULT_RETRY_DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds between the attempts of one webhook; the last one repeats for three days."""


@dataclass(frozen=True)
class WebhookTarget:
    """An address that gets events of these types ("*": all), signed with the secret."""

    url: str
    secret: str
    events: frozenset[str] = frozenset({"*"})


@dataclass(frozen=True)
class Dunning:
    """What happens after a failed renewal: days between attempts, and what the last failure does.

    Stripe keeps these in the Dashboard, per account.
    """

    retry_days: tuple[int, ...] = (3, 5, 7)
    final: Literal["cancel", "unpaid", "past_due"] = "cancel"


@dataclass(frozen=True)
class SandboxConfig:
    """How a sandbox is run.

    `port` 0 takes any free port. `public_url` is the base of the pages' addresses where it differs
    from the host that the API was called by. `state_file` keeps everything across restarts.
    `seed` makes ids and the disturbances of webhook delivery repeatable.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str | None = None
    webhooks: tuple[WebhookTarget, ...] = ()
    state_file: Path | None = None
    retry_delays: tuple[float, ...] = DEFAULT_RETRY_DELAYS
    seed: int | None = None
    dunning: Dunning = field(default_factory=Dunning)
