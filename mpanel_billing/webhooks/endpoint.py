"""Our webhook endpoint at Stripe: how it should be, and what has to change.

The API version of an endpoint is fixed when it is created. To change it, a second endpoint is
created at the same URL, both secrets are accepted for a while, and then the first is deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from yarl import URL

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import Pool
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.mirror.types import EVENT_TYPES
from mpanel_billing.stripe_gateway.gateway import API_VERSION, StripeGateway
from mpanel_billing.stripe_gateway.webhook_endpoints import (
    WebhookEndpoint,
    create_webhook_endpoint,
    delete_webhook_endpoint,
    list_webhook_endpoints,
    update_webhook_endpoint,
)

PATH = "/api/webhooks/stripe"
"""Where the service receives webhooks; a proxy may strip a prefix before it."""

ALL_EVENTS = "*"
_DESCRIPTION = "mpanel-billing"
_PRIVATE_DOMAINS = ("localhost", "local", "localdomain", "internal", "lan", "home.arpa", "test")


class EndpointUrlError(InvalidRequestError):
    """Stripe cannot send events to this URL."""

    code = "endpoint_url_invalid"


@dataclass(frozen=True, slots=True)
class EndpointChanges:
    """What has to change at one URL.

    `current` has our API version (None: one has to be created), and `faults` describe what else
    is wrong with it. `outdated` have another version; `duplicates` have ours too.
    """

    url: str
    current: WebhookEndpoint | None
    faults: tuple[str, ...]
    outdated: tuple[WebhookEndpoint, ...]
    duplicates: tuple[WebhookEndpoint, ...]


@dataclass(frozen=True, slots=True)
class EnsuredEndpoint:
    """What was done: the endpoint as it is now, and the ids of those deleted.

    `secret` is set if it was just created: Stripe shows it only once.
    """

    endpoint: WebhookEndpoint
    secret: str | None = field(repr=False)
    removed: tuple[str, ...]


def check_endpoint_url(text: str, *, livemode: bool, public: bool) -> str:
    """Return the complete URL; our path is added if it has none. EndpointUrlError if unusable.

    `public`: Stripe itself has to reach it, not the sandbox on the same machine.
    """
    url = _canonical(text)
    if url is None:
        raise EndpointUrlError(f"{text!r} is not a URL.")
    host = url.host
    if url.scheme not in {"http", "https"} or not host or any(map(str.isspace, host)):
        raise EndpointUrlError(f"{text!r} must start with https:// and name a host.")
    if url.user or url.password or url.query_string or url.fragment:
        raise EndpointUrlError("The URL must have no user, password, query (?) or fragment (#).")
    if url.path in {"", "/"}:
        url = url.with_path(PATH)
    if not url.path.endswith(PATH):
        raise EndpointUrlError(f"The URL must end in {PATH}, where the service receives webhooks.")
    if livemode and url.scheme != "https":
        raise EndpointUrlError("In live mode Stripe sends webhooks only to https:// URLs.")
    if public and _is_private(host):
        raise EndpointUrlError(f"Stripe cannot reach {host}: it must be a public host.")
    return str(url)


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        name = host.rstrip(".").lower()
        return "." not in name or name.endswith(tuple(f".{zone}" for zone in _PRIVATE_DOMAINS))


def missing_events(endpoint: WebhookEndpoint) -> list[str]:
    """Return the events that we need and the endpoint does not receive."""
    return [] if ALL_EVENTS in endpoint.events else sorted(EVENT_TYPES - endpoint.events)


def needless_events(endpoint: WebhookEndpoint) -> list[str]:
    """Return the events that the endpoint receives and we do not use."""
    return sorted(endpoint.events - EVENT_TYPES)


def decide_changes(url: str, found: Sequence[WebhookEndpoint]) -> EndpointChanges:
    """Decide what to change, given every endpoint of the account.

    Of several with our version the oldest enabled one stays: its secret is probably in use.
    """
    address = _canonical(url)
    here = [endpoint for endpoint in found if _canonical(endpoint.url) == address]
    pinned = sorted(
        (endpoint for endpoint in here if endpoint.api_version == API_VERSION),
        key=lambda endpoint: (not endpoint.enabled, endpoint.created, endpoint.id),
    )
    return EndpointChanges(
        url=url,
        current=pinned[0] if pinned else None,
        faults=tuple(_faults_of(pinned[0])) if pinned else (),
        outdated=tuple(endpoint for endpoint in here if endpoint.api_version != API_VERSION),
        duplicates=tuple(pinned[1:]),
    )


def _canonical(text: str) -> URL | None:
    """Return the URL in canonical form; None if it is not a URL."""
    try:
        url = URL(text)
        return url.with_port(None) if url.is_default_port() else url
    except ValueError:
        return None


def _faults_of(endpoint: WebhookEndpoint) -> list[str]:
    missing, needless = missing_events(endpoint), needless_events(endpoint)
    return [
        *([] if endpoint.enabled else ["it is disabled"]),
        *([f"it lacks {', '.join(missing)}"] if missing else []),
        *([f"it receives {', '.join(needless)}, which we do not use"] if needless else []),
    ]


async def find_changes(gateway: StripeGateway, url: str) -> EndpointChanges:
    """List the endpoints at Stripe, and decide what to change."""
    return decide_changes(url, await list_webhook_endpoints(gateway))


async def make_changes(
    pool: Pool,
    gateway: StripeGateway,
    changes: EndpointChanges,
    *,
    remove_old: bool,
    by: Actor | None = None,
) -> EnsuredEndpoint:
    """Create or correct the endpoint; safe to repeat after a failure.

    Outdated ones are deleted only if the current one existed before: the service has to know the
    secret of a new one first. Raises StripeError, or DatabaseUnavailableError before anything is
    done.
    """
    async with audit.attempt(
        pool, by, "stripe.endpoint_ensure", details={"url": changes.url}
    ) as entry:
        ensured = await _make_changes(gateway, changes, remove_old=remove_old)
        entry.set_target("webhook_endpoint", ensured.endpoint.id)
        entry.note(made=changes.current is None, mended=changes.faults, removed=ensured.removed)
    return ensured


async def _make_changes(
    gateway: StripeGateway, changes: EndpointChanges, *, remove_old: bool
) -> EnsuredEndpoint:
    if changes.current is None:
        made = await create_webhook_endpoint(gateway, changes.url, EVENT_TYPES, _DESCRIPTION)
        return EnsuredEndpoint(made.endpoint, made.secret, ())
    endpoint = changes.current
    if changes.faults:
        endpoint = await update_webhook_endpoint(gateway, endpoint.id, EVENT_TYPES)
    outdated = [old.id for old in changes.outdated] if remove_old else []
    for id_ in outdated:
        await delete_webhook_endpoint(gateway, id_)
    return EnsuredEndpoint(endpoint, None, tuple(outdated))
