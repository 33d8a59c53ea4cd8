"""A client for tests and scripts: pays, moves clocks, disturbs webhook delivery."""

from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from aiohttp import ClientResponseError, ClientSession

from stripe_sandbox.documents import Document

AUTHORIZED = {"Authorization": "Bearer sk_test_sandbox"}


@dataclass(frozen=True)
class PayResult:
    """The payment page's response: status, redirect, or error message.

    `challenge` is set if the bank asks for authentication first.
    """

    status: int
    location: str | None
    error: str | None
    challenge: str | None = None


class SandboxClient:
    """Calls the sandbox at a base URL; use it as an async context manager."""

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
        **order: str,
    ) -> PayResult:
        """Submit the payment page of a session, given by its id or URL.

        `order` are fields that change the order: `promotionCode`, `quantity_0` and so on, and
        `action="update"` to do only that.
        """
        form = {
            **order,
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
        """Complete or fail the authentication that `pay` returned as its challenge."""
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

    async def advance_clock(self, clock_id: str, to: int) -> None:
        """Advance a test clock to a Unix time, further than the API allows at once.

        Everything due has happened when it returns.
        """
        body = {"advance_to": to, "test_clock": clock_id}
        await self._call("POST", "/_sandbox/clock", body=body)

    async def now(self) -> int:
        """Return the sandbox's own Unix time, which applies outside test clocks."""
        result = await self._call("GET", "/_sandbox/clock")
        return int(result["now"])

    async def advance_time(self, to: int) -> int:
        """Advance the sandbox's own clock to a Unix time."""
        result = await self._call("POST", "/_sandbox/clock", body={"advance_to": to})
        return int(result["now"])

    async def set_delivery(self, **switches: Any) -> Document:
        """Disturb webhooks from now on (see control.DeliverySwitches); no switch turns all off."""
        return await self._call("POST", "/_sandbox/delivery", body=switches)

    async def release(self) -> int:
        """Send the held webhooks; return how many."""
        result = await self._call("POST", "/_sandbox/delivery/release", body={})
        return int(result["released"])

    async def deliveries(self) -> list[Document]:
        """List all deliveries with their attempts, oldest first."""
        result = await self._call("GET", "/_sandbox/deliveries")
        return list(result["data"])

    async def pending(self) -> int:
        """Return how many webhooks are still to be delivered."""
        result = await self._call("GET", "/_sandbox/deliveries/pending")
        return int(result["pending"])

    async def wait_idle(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - the server waits
        """Wait until all webhooks are delivered; raises TimeoutError after `timeout` seconds."""
        try:
            await self._call("POST", "/_sandbox/idle", body={"timeout": timeout})
        except ClientResponseError as error:
            if error.status == 408:  # noqa: PLR2004 - its timeout response
                raise TimeoutError("webhooks are still being delivered") from None
            raise

    async def inject_fault(self, kind: str = "status", **details: Any) -> Document:
        """Make the next API requests fail (see control.FaultRequest)."""
        return await self._call("POST", "/_sandbox/faults", body={"kind": kind, **details})

    async def limit_rate(self, per_second: int | None) -> int:
        """Limit API requests per second (None: no limit); return how many were refused."""
        result = await self._call("POST", "/_sandbox/rate_limit", body={"per_second": per_second})
        return int(result["refused"])

    async def copy_subscription(self, subscription: str, count: int, *, days: int = 0) -> None:
        """Copy a subscription, its customer and its invoices `count` times, without events."""
        body = {"subscription": subscription, "count": count, "days": days}
        await self._call("POST", "/_sandbox/copies", body=body)

    async def replace_card(self, customer: str, card: str = "4242424242424242") -> str:
        """Give a customer and their subscriptions another card; return its payment method's id."""
        body = {"customer": customer, "number": card}
        result = await self._call("POST", "/_sandbox/cards", body=body)
        return str(result["payment_method"])

    async def renew_card(self, payment_method: str, **details: Any) -> str:
        """Give a saved card another `number`, `exp_month` or `exp_year`; return its last digits."""
        body = {"payment_method": payment_method, **details}
        result = await self._call("POST", "/_sandbox/card_updates", body=body)
        return str(result["last4"])

    async def finish_authentication(self, intent: str, *, succeed: bool = True) -> str:
        """Finish the 3D Secure of a payment or setup intent; return its status."""
        body = {"intent": intent, "succeed": succeed}
        result = await self._call("POST", "/_sandbox/authentications", body=body)
        return str(result["status"])

    async def dispute(self, charge: str, **details: Any) -> str:
        """Dispute a charge (see banks.DisputeRequest); return the dispute's id."""
        result = await self._call("POST", "/_sandbox/disputes", body={"charge": charge, **details})
        return str(result["id"])

    async def decide_dispute(self, dispute: str, outcome: str) -> str:
        """End a dispute (`won`, `lost`), or escalate an inquiry; return its status."""
        path = f"/_sandbox/disputes/{dispute}"
        return str((await self._call("POST", path, body={"outcome": outcome}))["status"])

    async def end_debit(self, intent: str, *, succeed: bool = True) -> str:
        """Let a bank debit succeed or fail now; return the status of its payment intent."""
        body = {"intent": intent, "succeed": succeed}
        return str((await self._call("POST", "/_sandbox/debits", body=body))["status"])

    async def warn_of_fraud(self, charge: str) -> str:
        """Make an early fraud warning about a charge; return its id."""
        result = await self._call("POST", "/_sandbox/fraud_warnings", body={"charge": charge})
        return str(result["id"])

    async def fail_refund(self, refund: str) -> str:
        """Let a refund fail; return its status."""
        result = await self._call("POST", f"/_sandbox/refunds/{refund}", body={})
        return str(result["status"])

    async def requests(self, **filters: str) -> list[Document]:
        """List the latest API requests, newest first (see records.RequestFilter)."""
        path = f"/_sandbox/requests?{urlencode(filters)}"
        return list((await self._call("GET", path))["data"])

    async def load_fixtures(self, content: Document) -> Document:
        """Send the requests of a fixtures file; return their objects by the entries' names."""
        return await self._call("POST", "/_sandbox/fixtures", body=content)

    async def keep_snapshot(self, name: str) -> Document:
        """Keep the present state under a name, in place of an earlier one."""
        return await self._call("POST", "/_sandbox/snapshots", body={"name": name})

    async def restore_snapshot(self, name: str) -> Document:
        """Go back to a state."""
        return await self._call("POST", f"/_sandbox/snapshots/{name}/restore", body={})

    async def snapshots(self) -> list[str]:
        """List the names of the snapshots."""
        found = (await self._call("GET", "/_sandbox/snapshots"))["data"]
        return [snapshot["name"] for snapshot in found]

    async def reset(self) -> None:
        """Delete everything in the sandbox but its snapshots."""
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
            result: Document = await response.json()
            return result


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
