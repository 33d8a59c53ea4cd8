"""The page at which the holder of a bank account names the deposit that they got."""

from html import escape

from aiohttp import web

from stripe_sandbox.billing.account_checks import waits_for_deposit
from stripe_sandbox.billing.microdeposits import verify
from stripe_sandbox.billing.setup_intents import KIND as SETUP
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import ApiError
from stripe_sandbox.hosted.checkout import html_response
from stripe_sandbox.hosted.html import (
    Field,
    alert,
    field_html,
    not_found,
    render_notice,
    render_page,
)
from stripe_sandbox.hosted.language import Language, language_of
from stripe_sandbox.hosted.problems import problems_of
from stripe_sandbox.world import World

CODE = Field("descriptorCode", "off", "SM0000", "text")


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
        intent, language = self._find(request), language_of(request)
        if intent is None:
            return html_response(404, not_found(language))
        if not waits_for_deposit(intent):
            return html_response(410, _done(language, intent))
        return html_response(200, _page(language))

    async def submit(self, request: web.Request) -> web.Response:
        """Verify the account, or show what is wrong."""
        intent, language = self._find(request), language_of(request)
        if intent is None:
            return html_response(404, not_found(language))
        code = str((await request.post()).get("descriptorCode", "")).strip()
        try:
            with self._world.store.transaction():
                intent, problem = self._verify(intent, code)
        except ApiError as error:
            return html_response(400, _page(language, error))
        if problem and waits_for_deposit(intent):
            return html_response(400, _page(language, problem))
        return html_response(400 if problem else 200, _done(language, intent, problem))

    def _verify(self, intent: Document, code: str) -> tuple[Document, ApiError | None]:
        """Return the intent afterwards and what was wrong; wrong answers count."""
        try:
            return verify(self._world, intent, None, code), None
        except ApiError as error:
            if not error.keeps_changes:
                raise
            return self._world.find(intent["object"], intent["id"]), error

    def _find(self, request: web.Request) -> Document | None:
        intent_id, store = request.match_info["id"], self._world.store
        return store.get("payment_intent", intent_id) or store.get(SETUP, intent_id)


def _done(language: Language, intent: Document, problem: ApiError | None = None) -> str:
    if problem:
        title = language.say("deposit.failed")
        return render_notice(language, title, language.refusal(problem))
    sentence = language.say("deposit.done", status=language.status(intent["status"]))
    return render_notice(language, language.say("done"), sentence)


def _page(language: Language, problem: ApiError | None = None) -> str:
    problems = problems_of(language, problem) if problem else {}
    task = language.say("deposit", amount=language.amount(1, "usd"))
    form = f"""<form method="post">
{field_html(language, CODE, "", problems)}
<button type="submit">{escape(language.say("deposit.verify"))}</button>
</form>"""
    body = f"<p>{escape(task)}</p>{alert(problems, form)}{form}"
    return render_page(language, language.say("deposit.title"), body)
