"""How old secrets are, as far as anything tells it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.doctor import repository
from mpanel_billing.errors import StripeError
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.webhook_endpoints import list_webhook_endpoints
from mpanel_billing.webhooks.endpoint import PATH

Kind = Literal["key", "receiver", "endpoint", "settings"]


@dataclass(frozen=True, slots=True)
class SecretAge:
    """A secret, and since when it has been as it is.

    An `endpoint` may have been rolled in Stripe's Dashboard since; no secret of the `settings` is
    younger than their file.
    """

    kind: Kind
    name: str
    since: datetime


async def read_ages(pool: Pool, gateway: StripeGateway, env_file: Path) -> Sequence[SecretAge]:
    """Return the secrets whose age is known, the oldest first."""
    async with acquired(pool) as conn:
        stored = await repository.list_secrets(conn)
    found = [SecretAge(row["kind"], row["name"], row["since"]) for row in stored]
    found += [*await _endpoints(gateway), *_settings(env_file)]
    return sorted(found, key=lambda one: one.since)


async def _endpoints(gateway: StripeGateway) -> list[SecretAge]:
    try:
        endpoints = await list_webhook_endpoints(gateway)
    except StripeError:  # the findings say so
        return []
    ours = (one for one in endpoints if urlsplit(one.url).path.endswith(PATH))
    return [SecretAge("endpoint", one.url, one.created) for one in ours]


def _settings(env_file: Path) -> list[SecretAge]:
    try:
        changed = env_file.stat().st_mtime
    except OSError:  # the settings come from the environment
        return []
    return [SecretAge("settings", str(env_file), datetime.fromtimestamp(changed, UTC))]
