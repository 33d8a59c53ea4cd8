"""The page at which the holder of a bank account names the deposit that they got."""

from html import escape

from aiohttp import web

from stripe_sandbox.billing.account_checks import waits_for_deposit
from stripe_sandbox.billing.microdeposits import verify
from stripe_sandbox.billing.setup_intents import KIND as SETUP
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import ApiError
from stripe_sandbox.hosted.checkout import html_response
from stripe_sandbox.hosted.html import not_found, render_notice, render_page
from stripe_sandbox.world import World


class VerificationPages:
    """Serves `/microdeposits/{id}`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/microdeposits/{id}", self.show)
        app.router.add_post("/microdeposits/{id}", self.submit)

    async def show(self, request: web.Request) -> web.Response:
        """Ask for the code in the deposit's text."""
        intent = self._find(request)
        if intent is None:
            return html_response(404, not_found())
        if not waits_for_deposit(intent):
            return html_response(410, _done(intent))
        return html_response(200, _page(""))

    async def submit(self, request: web.Request) -> web.Response:
        """Verify the account, or show what is wrong."""
        intent = self._find(request)
        if intent is None:
            return html_response(404, not_found())
        code = str((await request.post()).get("descriptorCode", "")).strip()
        try:
            with self._world.store.transaction():
                intent, problem = self._verify(intent, code)
        except ApiError as error:
            return html_response(400, _page(str(error)))
        if problem and waits_for_deposit(intent):
            return html_response(400, _page(problem))
        return html_response(400 if problem else 200, _done(intent, problem))

    def _verify(self, intent: Document, code: str) -> tuple[Document, str]:
        """Return the intent afterwards and what was wrong; wrong answers count."""
        try:
            return verify(self._world, intent, None, code), ""
        except ApiError as error:
            if not error.keeps_changes:
                raise
            return self._world.find(intent["object"], intent["id"]), str(error)

    def _find(self, request: web.Request) -> Document | None:
        intent_id, store = request.match_info["id"], self._world.store
        return store.get("payment_intent", intent_id) or store.get(SETUP, intent_id)


def _done(intent: Document, problem: str = "") -> str:
    if problem:
        return render_notice("The bank account was not verified", problem)
    return render_notice("Done", f"The bank account needs nothing: {intent['status']}.")


def _page(problem: str) -> str:
    alert = f'<div role="alert" id="problem">{escape(problem)}</div>' if problem else ""
    body = f"""<p>Find the deposit of $0.01 on your bank statement, and enter the code that begins
with SM.</p>
{alert}
<form method="post">
<label for="descriptorCode">Code</label>
<input id="descriptorCode" name="descriptorCode" autocomplete="off" maxlength="6" required>
<button type="submit">Verify</button>
</form>"""
    return render_page("Verify your bank account", body)
