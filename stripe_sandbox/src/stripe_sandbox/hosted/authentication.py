"""The page of the buyer's bank, for payment and setup intents that require 3D Secure."""

from html import escape
from urllib.parse import urlencode

from aiohttp import web

from stripe_sandbox.billing.confirmations import finish_authentication
from stripe_sandbox.billing.setup_intents import KIND as SETUP
from stripe_sandbox.billing.setup_intents import finish_setup
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import no_such
from stripe_sandbox.hosted.checkout import html_response
from stripe_sandbox.hosted.html import render_notice, render_page
from stripe_sandbox.hosted.language import Language, language_of
from stripe_sandbox.world import World


def finish(world: World, intent_id: str, *, succeeds: bool) -> Document:
    """Let the buyer authenticate, or fail to, and return the payment or setup intent."""
    kind = SETUP if intent_id.startswith("seti_") else "payment_intent"
    intent = world.find(kind, intent_id, "intent")
    with world.store.transaction():
        if kind == SETUP:
            finish_setup(world, intent, succeeds=succeeds)
        else:
            finish_authentication(world, intent, succeeds=succeeds)
    return world.find(kind, intent_id)


class AuthenticationPages:
    """Serves `/3ds/{id}`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/3ds/{id}", self.show)
        app.router.add_post("/3ds/{id}", self.submit)

    async def show(self, request: web.Request) -> web.Response:
        """Show two buttons: authenticate, or fail to."""
        intent, language = self._find(request), language_of(request)
        if intent is None or intent["status"] != "requires_action":
            title, sentence = language.say("bank.nothing.title"), language.say("bank.nothing")
            return html_response(410, render_notice(language, title, sentence))
        return html_response(200, render_page(language, "3D Secure", _form(language)))

    async def submit(self, request: web.Request) -> web.Response:
        """Finish, and go back to the `return_url`, if there is one."""
        before = self._find(request)
        if before is None:
            raise no_such("payment_intent", request.match_info["id"])
        form = await request.post()
        intent = finish(
            self._world, before["id"], succeeds=form.get("authentication") == "complete"
        )
        action = before["next_action"] or {}
        target = (action.get("redirect_to_url") or {}).get("return_url")
        if target is None:
            language = language_of(request)
            outcome = language.say("bank.outcome", status=language.status(intent["status"]))
            return html_response(200, render_notice(language, language.say("done"), outcome))
        raise web.HTTPSeeOther(_with_outcome(target, intent))

    def _find(self, request: web.Request) -> ReadOnly | None:
        intent_id = request.match_info["id"]
        store = self._world.store
        return store.peek("payment_intent", intent_id) or store.peek(SETUP, intent_id)


def _with_outcome(target: str, intent: ReadOnly) -> str:
    name = intent["object"]
    status = "failed" if intent["status"] == "requires_payment_method" else intent["status"]
    outcome = urlencode(
        {
            name: intent["id"],
            f"{name}_client_secret": intent["client_secret"],
            "redirect_status": status,
        }
    )
    return f"{target}{'&' if '?' in target else '?'}{outcome}"


def _form(language: Language) -> str:
    say = language.say
    return f"""<p>{escape(say("bank.method"))}</p>
<form method="post">
<button type="submit" name="authentication" value="complete">{escape(say("bank.complete"))}</button>
<button type="submit" name="authentication" value="fail" class="quiet">
{escape(say("bank.fail"))}</button>
</form>"""
