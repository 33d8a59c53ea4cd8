"""`/_sandbox`: what banks do on demand: disputes, fraud reports, failed refunds."""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from stripe_sandbox.billing.debit_outcomes import end_debit
from stripe_sandbox.billing.disputes import KIND, decide_dispute, open_dispute
from stripe_sandbox.billing.refunds import fail_refund
from stripe_sandbox.billing.warnings import make_warning
from stripe_sandbox.cards import Decline
from stripe_sandbox.control import Body, read_switch
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World


class DisputeRequest(Body):
    """`POST /_sandbox/disputes`: the cardholder disputes a charge, or asks about it."""

    charge: str
    reason: str = "fraudulent"
    status: Literal["needs_response", "warning_needs_response", "prevented"] = "needs_response"
    amount: Annotated[int, Field(ge=1)] | None = None


class DecisionRequest(Body):
    """`POST /_sandbox/disputes/{id}`: how a dispute ends, or goes on."""

    outcome: Literal["won", "lost", "escalated", "appealable"]


class WarningRequest(Body):
    """`POST /_sandbox/fraud_warnings`: an issuer reports a charge as fraud."""

    charge: str
    fraud_type: str = "made_with_stolen_card"


class FailureRequest(Body):
    """`POST /_sandbox/refunds/{id}`: the bank returns a refund."""

    reason: str = "expired_or_canceled_card"


class DebitRequest(Body):
    """`POST /_sandbox/debits`: a bank debit that is under way succeeds or fails now."""

    intent: str
    succeed: bool = True
    code: str = "insufficient_funds"


class Banks:
    """Serves what banks do under `/_sandbox`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_post("/_sandbox/disputes", self.dispute)
        app.router.add_post("/_sandbox/disputes/{id}", self.decide)
        app.router.add_post("/_sandbox/fraud_warnings", self.warn)
        app.router.add_post("/_sandbox/debits", self.end_debit)
        app.router.add_post("/_sandbox/refunds/{id}", self.return_refund)

    async def dispute(self, request: web.Request) -> web.Response:
        """Open a dispute of a paid charge."""
        wanted = await read_switch(request, DisputeRequest)
        with self._world.store.transaction():
            charge = self._world.find("charge", wanted.charge, "charge")
            if not charge["captured"]:
                raise invalid("Only a captured charge can be disputed.", param="charge")
            dispute = open_dispute(
                self._world,
                charge,
                reason=wanted.reason,
                status=wanted.status,
                amount=wanted.amount,
            )
        return web.json_response({"id": dispute["id"]})

    async def decide(self, request: web.Request) -> web.Response:
        """Let the bank decide a dispute."""
        wanted = await read_switch(request, DecisionRequest)
        with self._world.store.transaction():
            found = self._world.find(KIND, request.match_info["id"])
            dispute = decide_dispute(self._world, found, wanted.outcome)
        return web.json_response({"status": dispute["status"]})

    async def warn(self, request: web.Request) -> web.Response:
        """Make an early fraud warning."""
        wanted = await read_switch(request, WarningRequest)
        with self._world.store.transaction():
            charge = self._world.find("charge", wanted.charge, "charge")
            warning = make_warning(self._world, charge, wanted.fraud_type)
        return web.json_response({"id": warning["id"]})

    async def end_debit(self, request: web.Request) -> web.Response:
        """End a bank debit that is under way."""
        wanted = await read_switch(request, DebitRequest)
        world = self._world
        failure = Decline(wanted.code, None, "The bank has refused the debit.")
        with world.store.transaction():
            intent = world.find("payment_intent", wanted.intent, "intent")
            charge = world.find("charge", intent["latest_charge"] or "", "intent")
            end_debit(world, charge, None if wanted.succeed else failure)
        return web.json_response({"status": world.find("payment_intent", wanted.intent)["status"]})

    async def return_refund(self, request: web.Request) -> web.Response:
        """Let a refund fail."""
        wanted = await read_switch(request, FailureRequest)
        with self._world.store.transaction():
            refund = self._world.find("refund", request.match_info["id"])
            refund = fail_refund(self._world, refund, wanted.reason)
        return web.json_response({"status": refund["status"]})
