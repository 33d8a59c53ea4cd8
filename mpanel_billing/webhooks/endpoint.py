"""Our webhook endpoint at Stripe: what it should be, and what is to be done about it.

An endpoint's API version is fixed when it is made. To change it, a second endpoint is made at the
same address, both secrets are accepted for a while, and then the first one goes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from yarl import URL

from mpanel_billing.access import audit
from mpanel_billing.access.actor import Actor
from mpanel_billing.database.pool import Pool
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.mirror.types import EVENT_TYPES
from mpanel_billing.stripe_gateway.gateway import API_VERSION, StripeGateway
from mpanel_billing.stripe_gateway.webhook_endpoints import (
    WebhookEndpoint,
    correct_webhook_endpoint,
    create_webhook_endpoint,
    delete_webhook_endpoint,
    list_webhook_endpoints,
)

PATH = "/api/webhooks/stripe"
"""Where the service takes webhooks, below whatever prefix a proxy takes off."""

ALL_EVENTS = "*"
_DESCRIPTION = "mpanel-billing"
_PRIVATE_DOMAINS = ("localhost", "local", "localdomain", "internal", "lan", "home.arpa", "test")


class EndpointUrlError(InvalidRequestError):
    """The address is none that Stripe could bring our events to."""

    code = "endpoint_url_invalid"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done at one address.

    `current` has our API version (None: one has to be made), and `faults` say in words what else
    is to be corrected. `outdated` have another version; `doubles` are further ones of ours.
    """

    url: str
    current: WebhookEndpoint | None
    faults: tuple[str, ...]
    outdated: tuple[WebhookEndpoint, ...]
    doubles: tuple[WebhookEndpoint, ...]


@dataclass(frozen=True, slots=True)
class Ensured:
    """What was done: the endpoint that is right now, and the ids of those that are gone.

    `secret` is there when it was made just now: it is told only this once.
    """

    endpoint: WebhookEndpoint
    secret: str | None = field(repr=False)
    removed: tuple[str, ...]


def check_endpoint_url(text: str, *, livemode: bool, public: bool) -> str:
    """Return the whole address; without a path, ours is added. EndpointUrlError: it will not do.

    `public`: Stripe itself has to reach it, rather than the sandbox on the same machine.
    """
    url = _canonical(text)
    if url is None:
        raise EndpointUrlError(f"{text!r} is no URL.")
    host = url.host
    if url.scheme not in {"http", "https"} or not host or any(map(str.isspace, host)):
        raise EndpointUrlError(f"{text!r} must start with https://, and name a host.")
    if url.user or url.password or url.query_string or url.fragment:
        raise EndpointUrlError("The URL must be plain: no user, no password, no ? and no #.")
    if url.path in {"", "/"}:
        url = url.with_path(PATH)
    if not url.path.endswith(PATH):
        raise EndpointUrlError(f"The service takes webhooks at {PATH}: the URL must end in that.")
    if livemode and url.scheme != "https":
        raise EndpointUrlError("In live mode Stripe sends webhooks to https:// only.")
    if public and _is_private(host):
        raise EndpointUrlError(f"Stripe cannot reach {host}: it needs an address on the Internet.")
    return str(url)


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        name = host.rstrip(".").lower()
        return "." not in name or name.endswith(tuple(f".{zone}" for zone in _PRIVATE_DOMAINS))


def missing_events(endpoint: WebhookEndpoint) -> list[str]:
    """Name the events that we need and the endpoint does not get."""
    return [] if ALL_EVENTS in endpoint.events else sorted(EVENT_TYPES - endpoint.events)


def needless_events(endpoint: WebhookEndpoint) -> list[str]:
    """Name the events that the endpoint gets and we only store."""
    return sorted(endpoint.events - EVENT_TYPES)


def plan_endpoint(url: str, found: Sequence[WebhookEndpoint]) -> Plan:
    """Decide what to do, given every endpoint of the account.

    Of several with our version the oldest that is on stays: its secret is likely the one in use.
    """
    address = _canonical(url)
    here = [endpoint for endpoint in found if _canonical(endpoint.url) == address]
    pinned = sorted(
        (endpoint for endpoint in here if endpoint.api_version == API_VERSION),
        key=lambda endpoint: (not endpoint.enabled, endpoint.created, endpoint.id),
    )
    return Plan(
        url=url,
        current=pinned[0] if pinned else None,
        faults=tuple(_faults_of(pinned[0])) if pinned else (),
        outdated=tuple(endpoint for endpoint in here if endpoint.api_version != API_VERSION),
        doubles=tuple(pinned[1:]),
    )


def _canonical(text: str) -> URL | None:
    """Return the address in the one way to write it, or None where it is none."""
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
        *([f"it gets {', '.join(needless)}, which we do not use"] if needless else []),
    ]


async def look_at_endpoints(gateway: StripeGateway, url: str) -> Plan:
    """Ask Stripe what there is at the address, and plan what to do about it."""
    return plan_endpoint(url, await list_webhook_endpoints(gateway))


async def carry_out(
    pool: Pool, gateway: StripeGateway, plan: Plan, *, remove_old: bool, by: Actor | None = None
) -> Ensured:
    """Make or correct the endpoint; run again after a failure, it goes on where it was.

    The outdated ones go only beside an endpoint that was there before: the service has to know
    the secret of a new one first. Raises StripeError; DatabaseUnavailableError, before anything
    is done, where it cannot be recorded.
    """
    async with audit.attempt(
        pool, by, "stripe.endpoint_ensure", details={"url": plan.url}
    ) as entry:
        ensured = await _carry_out(gateway, plan, remove_old=remove_old)
        entry.aim_at("webhook_endpoint", ensured.endpoint.id)
        entry.note(made=plan.current is None, mended=plan.faults, removed=ensured.removed)
    return ensured


async def _carry_out(gateway: StripeGateway, plan: Plan, *, remove_old: bool) -> Ensured:
    if plan.current is None:
        made = await create_webhook_endpoint(gateway, plan.url, EVENT_TYPES, _DESCRIPTION)
        return Ensured(made.endpoint, made.secret, ())
    endpoint = plan.current
    if plan.faults:
        endpoint = await correct_webhook_endpoint(gateway, endpoint.id, EVENT_TYPES)
    outdated = [old.id for old in plan.outdated] if remove_old else []
    for id_ in outdated:
        await delete_webhook_endpoint(gateway, id_)
    return Ensured(endpoint, None, tuple(outdated))
