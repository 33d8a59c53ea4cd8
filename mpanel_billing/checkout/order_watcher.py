"""The state of an order, for the page on which the buyer waits for it."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from mpanel_billing.checkout.checkout import Checkout
from mpanel_billing.checkout.repository import order_states
from mpanel_billing.checkout.repository.order_states import OrderState
from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import NotFoundError, StripeError
from mpanel_billing.mirror.mirror import Mirror

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 25
REFRESH_SECONDS = 5.0
"""The shortest time between two calls to Stripe about one session, however often its page polls."""

WEBHOOK_SECONDS = 2.0
"""How long a page that waits gives the webhooks of a payment before Stripe is asked: they usually
come within a second or two, and an answer of the same second would leave their order open."""

UNKNOWN_SESSION_SECONDS = 1.0
"""The shortest time between two calls about unknown sessions: anyone can make up an id."""

_MOVING = frozenset({"provisional", "pending"})
_MAX_REMEMBERED = 10_000


@dataclass(slots=True)
class RefreshLimit:
    """Limits how often this process refreshes sessions from Stripe."""

    _refreshed: dict[str, float] = field(default_factory=dict)
    _unknown_refreshed: float = -UNKNOWN_SESSION_SECONDS

    def may_refresh_unknown(self) -> bool:
        """Return whether an unknown session may be refreshed now; if so, count it."""
        now = time.monotonic()
        if now - self._unknown_refreshed < UNKNOWN_SESSION_SECONDS:
            return False
        self._unknown_refreshed = now
        return True

    def may_refresh(self, session_id: str) -> bool:
        """Return whether the session may be refreshed now; if so, count it."""
        now = time.monotonic()
        if now - self._refreshed.get(session_id, -REFRESH_SECONDS) < REFRESH_SECONDS:
            return False
        if len(self._refreshed) >= _MAX_REMEMBERED:
            self._refreshed.clear()
        self._refreshed[session_id] = now
        return True


@dataclass(frozen=True, slots=True)
class OrderWatcher:
    """Follows orders by the ids of their sessions; `stopping` ends all waiting."""

    checkout: Checkout
    limit: RefreshLimit
    stopping: asyncio.Event

    async def follow(self, session_id: str, wait_seconds: float) -> OrderState:
        """Return the state of the session's order.

        Waits at most `wait_seconds` for it to change, unless it is final. NotFoundError for a
        session that is not ours. While no webhook has reported the payment, Stripe is asked: at
        once for a page that does not wait, else once the webhooks have had their time.
        """
        mark = self.checkout.changes.mark()
        state = await self._find(session_id)
        with self.checkout.changes.watch(state.subscription_id, mark) as changed:
            patience = min(wait_seconds, WEBHOOK_SECONDS) if _is_unpaid(state) else 0.0
            latest = await self._wait_for_change(session_id, state, changed, patience)
            if latest == state and not self.stopping.is_set():
                latest = await self._refresh_if_unpaid(session_id, state)
            left = wait_seconds - patience
            if left <= 0 or latest != state or latest.status not in _MOVING:
                return latest
            return await self._wait_for_change(session_id, latest, changed, left)

    async def _find(self, session_id: str) -> OrderState:
        """Read the order; refresh an unknown session, which may come from a recovery link.

        Stripe creates such a session on its own, and the webhook may be later than the buyer.
        """
        try:
            return await self._read(session_id)
        except NotFoundError:
            if not self.limit.may_refresh_unknown():
                raise
            await _refresh_if_possible(self.checkout.mirror, session_id)
            return await self._read(session_id)

    async def _wait_for_change(
        self, session_id: str, state: OrderState, changed: asyncio.Event, wait_seconds: float
    ) -> OrderState:
        """Return the state once it has changed, at the latest after `wait_seconds`; 0: `state`.

        It is read again only when `changed` says so.
        """
        if wait_seconds <= 0:
            return state
        deadline = time.monotonic() + wait_seconds
        latest = state
        while latest == state and not self.stopping.is_set():
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not await _first_of(changed, self.stopping, seconds=remaining):
                break
            changed.clear()
            latest = await self._read(session_id)
        return latest

    async def _read(self, session_id: str) -> OrderState:
        async with acquired(self.checkout.mirror.pool) as conn:
            state = await order_states.get_order_of_session(conn, session_id)
        if state is None or state.livemode != self.checkout.mirror.livemode:
            raise NotFoundError("Checkout session not found.")
        return state

    async def _refresh_if_unpaid(self, session_id: str, state: OrderState) -> OrderState:
        """Refresh the order from Stripe while no webhook has reported its payment."""
        if not _is_unpaid(state) or not self.limit.may_refresh(session_id):
            return state
        await _refresh_if_possible(self.checkout.mirror, session_id)
        return await self._read(session_id)


def _is_unpaid(state: OrderState) -> bool:
    """Whether no webhook has reported a payment that may have been made."""
    return state.status == "provisional" and state.session_status in {"open", "complete"}


async def _first_of(*events: asyncio.Event, seconds: float) -> bool:
    """Wait until one of the events is set; return False on timeout."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    return bool(done)


async def _refresh_if_possible(mirror: Mirror, session_id: str) -> None:
    """Refresh the session and its subscription; if Stripe fails, the rows stay as they are."""
    try:
        await _refresh(mirror, session_id)
    except StripeError as error:
        logger.warning("session not refreshed: %s", error, extra={"sessionId": session_id})


async def _refresh(mirror: Mirror, session_id: str) -> None:
    session = await mirror.refresh("checkout.session", session_id)
    if session.get("status") != "complete" or not session.get("subscription"):
        return
    subscription = await mirror.refresh("subscription", session["subscription"])
    if invoice_id := subscription.get("latest_invoice"):
        await mirror.refresh("invoice", invoice_id)
