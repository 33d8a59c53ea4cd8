"""What became of an order, for the page on which the buyer waits for it."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from mpanel_billing.checkout import repository
from mpanel_billing.checkout.repository import OrderState
from mpanel_billing.checkout.service import Desk
from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import NotFoundError, StripeError
from mpanel_billing.mirror.reading import UnreadableObjectError

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 25
SECONDS_BETWEEN_QUESTIONS = 5.0
"""How often Stripe is asked about one session, however often the page asks us."""

SECONDS_BETWEEN_STRANGERS = 1.0
"""How often Stripe is asked about sessions that we do not know: anybody can make some up."""

_MOVING = frozenset({"provisional", "pending"})
_MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class Questions:
    """When Stripe was last asked about which session, by this process."""

    _asked: dict[str, float] = field(default_factory=dict)
    _asked_about_stranger: float = -SECONDS_BETWEEN_STRANGERS

    def may_ask_about_stranger(self) -> bool:
        """Tell whether it is time to ask about a session that we do not know."""
        now = time.monotonic()
        if now - self._asked_about_stranger < SECONDS_BETWEEN_STRANGERS:
            return False
        self._asked_about_stranger = now
        return True

    def may_ask(self, session_id: str) -> bool:
        """Tell whether it is time to ask about the session; if so, that counts as asked."""
        now = time.monotonic()
        if (
            now - self._asked.get(session_id, -SECONDS_BETWEEN_QUESTIONS)
            < SECONDS_BETWEEN_QUESTIONS
        ):
            return False
        if len(self._asked) >= _MOST_REMEMBERED:
            self._asked.clear()
        self._asked[session_id] = now
        return True


@dataclass(frozen=True, slots=True)
class Lookout:
    """What is needed to follow an order; `stopping` ends all waiting."""

    desk: Desk
    questions: Questions
    stopping: asyncio.Event


async def follow_order(lookout: Lookout, session_id: str, wait_seconds: float) -> OrderState:
    """Return what became of the order that a session belongs to.

    Waits at most `wait_seconds` for it to move on, unless it is where it stays. NotFoundError
    for a session that is not ours.
    """
    state = await _find(lookout, session_id)
    with lookout.desk.changes.watch(state.subscription_id) as moved:
        latest = await _after_asking_stripe(lookout, session_id, state)
        if not wait_seconds or latest != state or latest.status not in _MOVING:
            return latest
        return await _wait_for_move(lookout, session_id, latest, moved, wait_seconds)


async def _find(lookout: Lookout, session_id: str) -> OrderState:
    """Read the order, meeting its session first where the buyer came by a recovery link.

    Stripe makes such a session without asking us, and the webhook may come after the buyer.
    """
    try:
        return await _read(lookout, session_id)
    except NotFoundError:
        if not lookout.questions.may_ask_about_stranger():
            raise
        await _ask_if_possible(lookout, session_id)
        return await _read(lookout, session_id)


async def _wait_for_move(
    lookout: Lookout,
    session_id: str,
    state: OrderState,
    moved: asyncio.Event,
    wait_seconds: float,
) -> OrderState:
    deadline = time.monotonic() + wait_seconds
    latest = await _read(lookout, session_id)
    while latest == state and not lookout.stopping.is_set():
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not await _first_of(moved, lookout.stopping, seconds=remaining):
            break
        moved.clear()
        latest = await _read(lookout, session_id)
    return latest


async def _first_of(*events: asyncio.Event, seconds: float) -> bool:
    """Wait until one of the events is set; False when that takes too long."""
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    return bool(done)


async def _read(lookout: Lookout, session_id: str) -> OrderState:
    async with acquired(lookout.desk.pool) as conn:
        state = await repository.get_order_of_session(conn, session_id)
    if state is None or state.livemode != lookout.desk.shop.livemode:
        raise NotFoundError("We know no checkout by this number.")
    return state


async def _after_asking_stripe(lookout: Lookout, session_id: str, state: OrderState) -> OrderState:
    """Ask Stripe itself where no webhook has told that the session was paid."""
    waits_for_stripe = state.status == "provisional" and state.session_status in {
        "open",
        "complete",
    }
    if not waits_for_stripe or not lookout.questions.may_ask(session_id):
        return state
    await _ask_if_possible(lookout, session_id)
    return await _read(lookout, session_id)


async def _ask_if_possible(lookout: Lookout, session_id: str) -> None:
    """Ask Stripe; when it does not answer, we go on with what we know."""
    try:
        await _ask_stripe(lookout.desk, session_id)
    except (StripeError, UnreadableObjectError) as error:
        logger.warning("Stripe could not be asked: %s", error, extra={"sessionId": session_id})


async def _ask_stripe(desk: Desk, session_id: str) -> None:
    """Mirror the session and, once it is complete, what it has led to."""
    session = await desk.mirror.refresh("checkout.session", session_id)
    if session.get("status") != "complete" or not session.get("subscription"):
        return
    subscription = await desk.mirror.refresh("subscription", session["subscription"])
    if invoice_id := subscription.get("latest_invoice"):
        await desk.mirror.refresh("invoice", invoice_id)
