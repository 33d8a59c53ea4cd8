"""Drives a sandbox from tests and scripts: pays, moves clocks, disturbs deliveries."""

from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from aiohttp import ClientResponseError, ClientSession

from stripe_sandbox.documents import Document

AUTHORIZED = {"Authorization": "Bearer sk_test_sandbox"}


@dataclass(frozen=True)
class PayResult:
    """What the payment page answered: its status, where it sent the buyer, or what was wrong.

    `challenge` is set where the bank asks for a confirmation first.
    """

    status: int
    location: str | None
    error: str | None
    challenge: str | None = None


class SandboxClient:
    """Speaks to the sandbox at a base address; use it as an async context manager."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session = ClientSession()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def pay(
        self,
        session: str,
        card: str = "4242424242424242",
        *,
        name: str = "Ada Lovelace",
        expiry: str = "12 / 34",
        cvc: str = "123",
        email: str = "ada@example.com",
    ) -> PayResult:
        """Fill in and send the payment page of a session, named by its id or its address."""
        form = {
            "cardNumber": card,
            "cardExpiry": expiry,
            "cardCvc": cvc,
            "billingName": name,
            "email": email,
        }
        return await self._send_page(session, form)

    async def authenticate(
        self, session: str, challenge: str, *, succeed: bool = True
    ) -> PayResult:
        """Answer the bank's question about a payment, which `pay` returned as its challenge."""
        outcome = "complete" if succeed else "fail"
        return await self._send_page(session, {"challenge": challenge, "authentication": outcome})

    async def _send_page(self, session: str, form: dict[str, str]) -> PayResult:
        session_id = urlsplit(session).path.rpartition("/")[2]
        url = f"{self._url}/c/pay/{session_id}"
        async with self._session.post(url, data=form, allow_redirects=False) as response:
            page = _PageReader()
            page.feed(await response.text())
            return PayResult(
                response.status,
                response.headers.get("Location"),
                page.alert or None,
                page.challenge,
            )

    async def advance_clock(self, clock_id: str, to: int) -> Document:
        """Move a test clock to a Unix time; everything due by then has happened when it returns."""
        path = f"/v1/test_helpers/test_clocks/{clock_id}/advance"
        return await self._call("POST", path, form={"frozen_time": str(to)})

    async def now(self) -> int:
        """Return the Unix time of everything that lives by no test clock."""
        answer = await self._call("GET", "/_sandbox/clock")
        return int(answer["now"])

    async def advance_time(self, to: int) -> int:
        """Let time pass, up to a Unix time, for everything that lives by no test clock."""
        answer = await self._call("POST", "/_sandbox/clock", body={"advance_to": to})
        return int(answer["now"])

    async def set_delivery(self, **switches: Any) -> Document:
        """Disturb webhooks from now on (see control.DeliverySwitches); none turns it all off."""
        return await self._call("POST", "/_sandbox/delivery", body=switches)

    async def release(self) -> int:
        """Send everything that was held; return how many."""
        answer = await self._call("POST", "/_sandbox/delivery/release", body={})
        return int(answer["released"])

    async def deliveries(self) -> list[Document]:
        """List all deliveries with their attempts, oldest first."""
        answer = await self._call("GET", "/_sandbox/deliveries")
        return list(answer["data"])

    async def wait_idle(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - sent on, not kept here
        """Wait until nothing is left to deliver; raises TimeoutError after that many seconds."""
        try:
            await self._call("POST", "/_sandbox/idle", body={"timeout": timeout})
        except ClientResponseError as error:
            if error.status == 408:  # noqa: PLR2004 - what the switch answers when time is up
                raise TimeoutError("webhooks are still being delivered") from None
            raise

    async def inject_fault(self, kind: str = "status", **details: Any) -> Document:
        """Have the next API requests suffer (see control.FaultRequest)."""
        return await self._call("POST", "/_sandbox/faults", body={"kind": kind, **details})

    async def limit_rate(self, per_second: int | None) -> int:
        """Take that many API requests a second (None: all); return how many were refused so far."""
        answer = await self._call("POST", "/_sandbox/rate_limit", body={"per_second": per_second})
        return int(answer["refused"])

    async def copy_subscription(self, subscription: str, count: int, *, days: int = 0) -> None:
        """Make that many more of a subscription with all that belongs to it, without events."""
        body = {"subscription": subscription, "count": count, "days": days}
        await self._call("POST", "/_sandbox/copies", body=body)

    async def replace_card(self, customer: str, card: str = "4242424242424242") -> str:
        """Give a customer and its subscriptions another card; return the payment method's id."""
        body = {"customer": customer, "number": card}
        answer = await self._call("POST", "/_sandbox/cards", body=body)
        return str(answer["payment_method"])

    async def reset(self) -> None:
        """Have the sandbox forget everything."""
        await self._call("POST", "/_sandbox/reset", body={})

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: Document | None = None,
        form: dict[str, str] | None = None,
    ) -> Document:
        async with self._session.request(
            method, self._url + path, json=body, data=form, headers=AUTHORIZED
        ) as response:
            response.raise_for_status()
            answer: Document = await response.json()
            return answer


class _PageReader(HTMLParser):
    """Finds the alert and the challenge of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.alert = ""
        self.challenge: str | None = None
        self._in_alert = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("role") == "alert":
            self._in_alert = True
        if tag == "input" and given.get("name") == "challenge":
            self.challenge = given.get("value")

    def handle_endtag(self, tag: str) -> None:
        self._in_alert = self._in_alert and tag != "div"

    def handle_data(self, data: str) -> None:
        if self._in_alert:
            self.alert += unescape(data)
