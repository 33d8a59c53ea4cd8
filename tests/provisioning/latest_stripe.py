"""A Stripe that returns the objects which the tests have sent events about."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from mpanel_billing.stripe_gateway.objects import Fetched, Resource
from tests.service import make_settings

_START = 1_790_000_000


class LatestStripe(StripeGateway):
    """Returns the latest object in `objects`; cannot be reached for any other.

    `now` is the second of its latest event, and never before `clock`.
    """

    def __init__(
        self,
        clock: Callable[[], datetime] | None = None,
        api_base: str = "http://127.0.0.1:1",
        objects: dict[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Serve `objects`; what is changed is changed at `api_base`, by default nowhere."""
        real = open_gateway(make_settings(stripe_api_base=api_base))
        super().__init__(real.client, real.http_client, real.longest_call_seconds)
        self.objects: dict[str, Mapping[str, Any]] = {} if objects is None else objects
        self.now = _START
        self.asked: list[str] = []
        self._clock = clock or (lambda: datetime.fromtimestamp(_START, UTC))

    def restart(self) -> None:
        """Begin with no objects, at the time of its clock."""
        self.objects.clear()
        self.now = 0

    async def fetch(self, resource: Resource, object_id: str) -> Fetched:
        self.asked.append(object_id)
        if object_id not in self.objects:
            return await super().fetch(resource, object_id)
        at = datetime.fromtimestamp(self.next_second(), UTC)
        return Fetched(self.objects[object_id], at, at)

    def next_second(self) -> int:
        """Return a later second than any before."""
        self.now = max(self.now + 1, int(self._clock().timestamp()))
        return self.now
