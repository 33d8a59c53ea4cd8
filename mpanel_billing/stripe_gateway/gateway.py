"""One client of Stripe's API for a process."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self, cast
from urllib.parse import quote

import aiohttp
import stripe

from mpanel_billing.errors import StripeUnavailableError
from mpanel_billing.settings import StripeSettings
from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.transport import CountingClient

API_VERSION = stripe.api_version or ""
"""The version that the pinned SDK speaks, and that our webhook endpoints are made for."""

SDK_VERSION: str = stripe.VERSION

NETWORK_RETRIES = 2

PAGE = 100
"""The most that Stripe lists at once."""

MOST_TYPES = 20
"""How many types of events Stripe takes in one question."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object in Stripe's API, at `path`.

    `expand` is asked for when one is fetched, `list_params` whenever they are listed.
    """

    path: str
    expand: tuple[str, ...] = ()
    list_params: Mapping[str, str] = field(default_factory=dict)


EVENTS = Resource("/v1/events")


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object as Stripe answered it, read at some moment from `since` to `as_of`.

    `as_of` is the `Date` of the answer, by Stripe's clock; `since` is earlier by the time that
    the call took, by our monotonic clock, rounded up to whole seconds.
    """

    stripe_object: Mapping[str, Any]
    since: datetime
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Objects as Stripe listed them, read at some moment from `since` to `as_of`, by its clock."""

    objects: Sequence[Mapping[str, Any]]
    has_more: bool
    since: datetime
    as_of: datetime


class StripeGateway:
    """Stripe's API in our words; every method may raise StripeError or a kind of it."""

    def __init__(
        self,
        client: stripe.StripeClient,
        http_client: stripe.AIOHTTPClient,
        longest_call_seconds: float,
    ) -> None:
        """Wrap a client; `open_gateway` makes one from the settings.

        A call takes `longest_call_seconds` at most, retries included, their pauses not.
        """
        self.client = client
        self.longest_call_seconds = longest_call_seconds
        self.http_client = http_client

    async def __aenter__(self) -> Self:
        """Close it at the end of an `async with`."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections to Stripe."""
        await self.http_client.close_async()  # type: ignore[no-untyped-call]

    async def fetch(self, resource: Resource, object_id: str) -> Fetched:
        """Return one object."""
        params = {"expand": list(resource.expand)} if resource.expand else {}
        answer, since, as_of = await self._get(f"{resource.path}/{quote(object_id, '')}", params)
        return Fetched(answer, since, as_of)

    async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
        """Return a page of a list, newest first; `params` are Stripe's (created, ...).

        StripeObjectMissingError if `starting_after` names what is gone.
        """
        answer, since, as_of = await self._get(
            resource.path, {"limit": PAGE, **resource.list_params, **params}
        )
        return Page(answer["data"], answer["has_more"], since, as_of)

    async def _get(
        self, path: str, params: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], datetime, datetime]:
        """Return the JSON of a response, and between which times Stripe read it.

        The SDK's objects are left out: making a hundred subscriptions takes longer than Stripe
        takes to answer.
        """
        started = time.monotonic()
        async with translated():
            answer = await self.client.raw_request_async("get", path, **params)
        took = math.ceil(time.monotonic() - started)
        as_of = read_date(answer.headers)
        content = cast("Mapping[str, Any]", answer.data)
        return content, as_of - timedelta(seconds=took), as_of

    async def list_subscription_items(self, subscription_id: str) -> list[Mapping[str, Any]]:
        """List all items of a subscription, however many: a snapshot carries only ten."""
        async with translated():
            page = await self.client.v1.subscription_items.list_async(
                {"subscription": subscription_id, "limit": 100}
            )
            return [item.to_dict() async for item in page.auto_paging_iter()]


def open_gateway(settings: StripeSettings) -> StripeGateway:
    """Make the gateway; it needs a running event loop, and an `async with` or `close()`."""
    base = settings.stripe_api_base
    http_client = CountingClient(
        timeout=aiohttp.ClientTimeout(total=settings.stripe_timeout_seconds)
    )
    client = stripe.StripeClient(
        settings.stripe_secret_key.get_secret_value(),
        http_client=http_client,
        base_addresses={"api": str(base).rstrip("/")} if base else {},
        max_network_retries=NETWORK_RETRIES,
    )
    return StripeGateway(
        client, http_client, settings.stripe_timeout_seconds * (NETWORK_RETRIES + 1)
    )


def date_of(answer: stripe.StripeObject) -> datetime:
    """Return when Stripe gave the answer, by its clock."""
    response = answer.last_response
    return read_date(response.headers if response else {})


def read_date(headers: Mapping[str, str]) -> datetime:
    """Return the Date of an answer's headers; StripeUnavailableError for one that has none."""
    text = next((v for k, v in headers.items() if k.lower() == "date"), None)
    if text is None:
        raise StripeUnavailableError("Stripe's answer carries no Date to order it by.")
    return parsedate_to_datetime(text).astimezone(UTC)
