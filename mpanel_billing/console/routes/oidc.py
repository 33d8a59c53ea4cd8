"""Signing in by OpenID Connect: to the provider, and back with a code."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

from mpanel_billing.access.keyring import UnknownKeyError
from mpanel_billing.access.sessions import Visitor, holder_of_key, open_session
from mpanel_billing.console.oidc.attempt import LIFETIME, Attempt, Attempts
from mpanel_billing.console.oidc.errors import SignInRefusedError
from mpanel_billing.console.oidc.id_token import Expected, UnknownKeyIdError, read_id_token
from mpanel_billing.console.oidc.kept import KEPT_FORMS, KeptForms
from mpanel_billing.console.oidc.persons import groups_of, key_of, name_of
from mpanel_billing.console.oidc.provider import Client, Provider
from mpanel_billing.console.pages import RENDER, Done, Page, redirect
from mpanel_billing.console.returning import (
    forget_kept,
    read_place,
    show_kept,
    sign_in_values,
    take_kept,
)
from mpanel_billing.console.visit import OIDC, cookie_of, forget_cookie, give_cookie, set_cookie
from mpanel_billing.console.words import say
from mpanel_billing.console.zones import find_zone
from mpanel_billing.errors import BillingError
from mpanel_billing.http import keys
from mpanel_billing.http.access import admit
from mpanel_billing.settings import Settings
from mpanel_billing.telemetry.logs import redact

routes = web.RouteTableDef()

START = "/console/oidc/start"
CALLBACK = "/console/oidc/callback"

PROVIDER = web.AppKey("oidc_provider", Provider)
ATTEMPTS = web.AppKey("oidc_attempts", Attempts)


async def open_provider(app: web.Application) -> AsyncIterator[None]:
    """Make the provider, which is asked for the first time when somebody signs in."""
    settings = app[keys.SETTINGS]
    app[ATTEMPTS] = Attempts(app[keys.WEBHOOK_SECRETS])
    app[KEPT_FORMS] = KeptForms(app[keys.WEBHOOK_SECRETS])
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        app[PROVIDER] = Provider(session, _client(settings))
        yield


def _client(settings: Settings) -> Client:
    secret = settings.console_oidc_client_secret
    return Client(
        issuer=settings.console_oidc_issuer or "",
        id=settings.console_oidc_client_id or "",
        secret=secret.get_secret_value() if secret else None,
        redirect_uri=f"{str(settings.app_url).rstrip('/')}{CALLBACK}",
        scopes=settings.console_oidc_scopes,
    )


@routes.get(START)
async def start(request: web.Request) -> web.Response:
    """Send the browser to the provider, with a state and a challenge that belong to it."""
    zone = find_zone(request.query.get("time_zone", ""))
    attempt, text = request.app[ATTEMPTS].begin(
        zone.key if zone else "", datetime.now(UTC), read_place(request.query.get("back", ""))
    )
    try:
        address = await request.app[PROVIDER].address_for(attempt)
    except BillingError as error:
        return _sign_in_page(request, error)
    response = redirect(Done(address))
    give_cookie(request, response, OIDC, text, LIFETIME)
    return response


@routes.get(CALLBACK)
async def finish(request: web.Request) -> web.Response:
    """Exchange the code for a session.

    The browser comes from another site, so it does not bring our own cookies to a page that it is
    sent on to: the page that it gets here leads on.
    """
    try:
        attempt = request.app[ATTEMPTS].read(cookie_of(request, OIDC), datetime.now(UTC))
        token = await _open(request, attempt)
    except BillingError as error:
        response = _sign_in_page(request, error)
    else:
        response = await _go_on(request, attempt, token)
        set_cookie(request, response, token)
        forget_kept(request, response)
    forget_cookie(request, response, OIDC)
    return response


async def _go_on(request: web.Request, attempt: Attempt, token: str) -> web.Response:
    """Lead to the page that was asked for, or to the form that had been sent too late."""
    if form := await take_kept(request, token):
        return show_kept(request, form, token)
    back = read_place(attempt.back)
    response = request.app[RENDER](request, Page("signed_in.html", {"back": back}))
    response.headers["Refresh"] = f"0; url={back}"
    return response


def _sign_in_page(request: web.Request, error: BillingError) -> web.Response:
    values = sign_in_values(request) | {"error": error}
    return request.app[RENDER](request, Page("sign_in.html", values, error.status))


async def _open(request: web.Request, attempt: Attempt) -> str:
    _require_answer(request, attempt)
    claims = await _claims(request, attempt)
    settings, pool = request.app[keys.SETTINGS], request.app[keys.POOL]
    groups = groups_of(claims, settings.console_oidc_groups_claim) or []
    try:
        holder = await holder_of_key(pool, key_of(groups, settings.console_oidc_groups))
    except UnknownKeyError as error:
        raise SignInRefusedError(f"{error.message} Ask the people who run the console.") from error
    await admit(request, holder)
    visitor = Visitor(
        redact(name_of(claims)), attempt.time_zone or None, subject=_subject(request, claims)
    )
    return await open_session(pool, holder, None, visitor)


def _subject(request: web.Request, claims: Mapping[str, Any]) -> Mapping[str, str]:
    """Return what tells two people of one name apart, for the audit log."""
    return {"issuer": request.app[PROVIDER].client.issuer, "subject": str(claims["sub"])}


def _require_answer(request: web.Request, attempt: Attempt) -> None:
    """Refuse a response to another attempt, from another provider, or that says no."""
    given = request.query
    if not attempt.fits(given.get("state", "")):
        raise SignInRefusedError(say("refusal.oidc_other"))
    if given.get("iss", request.app[PROVIDER].client.issuer) != request.app[PROVIDER].client.issuer:
        raise SignInRefusedError(say("refusal.oidc_issuer"))  # RFC 9207
    if error := given.get("error"):
        said = ", ".join(filter(str.isprintable, (error, given.get("error_description", ""))))
        raise SignInRefusedError(say("refusal.oidc_says", said=said.strip(", ")[:300]))


async def _claims(request: web.Request, attempt: Attempt) -> Mapping[str, Any]:
    """Return what the provider says of the person, from the ID token and else from userinfo."""
    provider = request.app[PROVIDER]
    tokens = await provider.exchange(request.query.get("code", ""), attempt)
    text = tokens.get("id_token")
    if not isinstance(text, str):
        raise SignInRefusedError(say("refusal.oidc_no_token"))
    claims = await _proven(provider, text, attempt)
    settings = request.app[keys.SETTINGS]
    if groups_of(claims, settings.console_oidc_groups_claim) is None and tokens.get("access_token"):
        more = await provider.user_info(str(tokens["access_token"]))
        if more and more.get("sub") != claims["sub"]:
            raise SignInRefusedError(say("refusal.oidc_person"))
        claims = {**more, **claims}
    return claims


async def _proven(provider: Provider, text: str, attempt: Attempt) -> Mapping[str, Any]:
    expected = Expected(provider.client.issuer, provider.client.id, attempt.nonce)
    try:
        return read_id_token(text, await provider.keys(), expected, datetime.now(UTC))
    except UnknownKeyIdError:
        pass
    try:
        return read_id_token(text, await provider.keys(fresh=True), expected, datetime.now(UTC))
    except UnknownKeyIdError:
        raise SignInRefusedError(say("refusal.oidc_key")) from None
