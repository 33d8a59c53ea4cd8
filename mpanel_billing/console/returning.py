"""The way to the sign-in and back: to the page that was asked for, with what a form had sent."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import hdrs, web

from mpanel_billing.access.sessions import form_token, subject_of
from mpanel_billing.console.oidc.kept import KEPT_FORMS, LIFETIME, KeptForm
from mpanel_billing.console.pages import (
    RENDER,
    SHOW_AGAIN,
    Done,
    Given,
    Page,
    read_form,
    redirect,
    without_token,
)
from mpanel_billing.console.visit import (
    FORM_TOKEN,
    KEPT,
    SESSION,
    cookie_of,
    forget_cookie,
    give_cookie,
    require_own_site,
    set_cookie,
)
from mpanel_billing.http import keys
from mpanel_billing.http.request import MAX_BODY_BYTES

HOME = "/console"
SIGN_IN = "/console/sign-in"
_LONGEST = 1000
"""Of an address that is returned to."""
_MOST_KEPT = MAX_BODY_BYTES - 4 * _LONGEST
"""It is sent with the sign-in, as one field among others."""


async def ask_to_sign_in(request: web.Request) -> web.Response:
    """Ask who it is; what a form has sent stays in the page. ForeignFormError."""
    if request.method == hdrs.METH_POST:
        require_own_site(request)
        given = await read_form(request)
        kept = _write_kept(without_token(given.fields))
        text = await _keep(request, given)
        values = sign_in_values(request, back=request.rel_url.raw_path, kept=kept) | {
            "by_key_only": not text
        }
        page = Page("sign_in.html", values, HTTPStatus.UNAUTHORIZED)
        response = request.app[RENDER](request, page)
        if text:
            give_cookie(request, response, KEPT, text, LIFETIME)
        return response
    if "HX-Request" in request.headers:  # a part of a page: the whole page goes
        place = _path_of(request.headers.get("HX-Current-URL", ""))
        return web.Response(headers={"HX-Redirect": _address(place)})
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        # A link from elsewhere comes without the cookie. A page of ours may ask once more, with it.
        response = request.app[RENDER](request, Page("go_on.html", {"back": request.path_qs}))
        response.headers["Refresh"] = f"0; url={request.path_qs}"
        return response
    return redirect(Done(_address(request.path_qs)))


def sign_in_values(
    request: web.Request, person: str = "", *, back: str = "", kept: str = ""
) -> dict[str, object]:
    """Return what the sign-in shows: a name, where else one can sign in, and the way back."""
    issuer = request.app[keys.SETTINGS].console_oidc_issuer
    return {
        "person": person,
        "page": "sign-in",
        "provider": urlsplit(issuer).hostname if issuer else None,
        "back": back,
        "kept": kept if len(kept) <= _MOST_KEPT else "",
        "to_provider": urlencode({"back": back}),
        "by_key_only": True,
    }


async def _keep(request: web.Request, given: Given) -> str | None:
    """Return what a form has sent, to be shown again after a sign-in at the provider.

    None if there is no provider, if it is not known whose it is, or if it is too long. Whose it is
    says the cookie of the session that is over, and the form has to be from one of its pages.
    """
    token, forms = cookie_of(request, SESSION), request.app.get(KEPT_FORMS)
    if forms is None or given.fields.get(FORM_TOKEN) != form_token(token):
        return None
    subject = await subject_of(request.app[keys.POOL], token)
    if subject is None:
        return None
    form = KeptForm(request.rel_url.raw_path, without_token(given.fields), subject)
    return forms.write(form, datetime.now(UTC))


async def take_kept(request: web.Request, token: str) -> KeptForm | None:
    """Return the form that the browser keeps, if it is of the person who has just signed in."""
    forms, text = request.app.get(KEPT_FORMS), cookie_of(request, KEPT)
    form = forms.read(text, datetime.now(UTC)) if forms and text else None
    if form is None or form.subject != await subject_of(request.app[keys.POOL], token):
        return None
    return form


def show_kept(request: web.Request, form: KeptForm, token: str) -> web.Response:
    """Show that the form was not taken, with a way on to the form, filled in."""
    fields = {**form.fields, SHOW_AGAIN: "yes"}
    values = {"back": read_place(form.place), "fields": fields, "token": form_token(token)}
    return request.app[RENDER](request, Page("kept.html", values))


def forget_kept(request: web.Request, response: web.Response) -> None:
    """Take from the browser what it keeps of a form, which is shown once."""
    if cookie_of(request, KEPT):
        forget_cookie(request, response, KEPT)


def _path_of(address: str) -> str:
    """Return the path of an address; empty if it is malformed."""
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def _address(back: str) -> str:
    return f"{SIGN_IN}?{urlencode({'back': back})}" if read_place(back) == back else SIGN_IN


def read_place(text: str) -> str:
    """Return an address of the console that may be returned to, or else the first page."""
    is_ours = text.startswith("/console/") and not text.startswith(SIGN_IN)
    is_plain = text.isascii() and text.isprintable() and "\\" not in text
    return text if is_ours and is_plain and len(text) <= _LONGEST else HOME


def go_back(request: web.Request, given: Given, token: str) -> web.Response:
    """Redirect to the page that led to the sign-in, with the form if one had been sent."""
    back, kept = read_place(given.text("back")), _read_kept(given.text("kept"))
    form = KeptForm(back, kept, {}) if kept else None
    response = show_kept(request, form, token) if form else redirect(Done(back))
    set_cookie(request, response, token)
    forget_kept(request, response)
    return response


def _write_kept(fields: Mapping[str, str]) -> str:
    """Return fields as a text of which no sign is escaped when a form sends it."""
    return base64.urlsafe_b64encode(urlencode(fields).encode()).rstrip(b"=").decode()


def _read_kept(text: str) -> Mapping[str, str]:
    try:
        pairs = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        return dict(parse_qsl(pairs, keep_blank_values=True, errors="strict"))
    except (binascii.Error, ValueError):  # no text of ours
        return {}
