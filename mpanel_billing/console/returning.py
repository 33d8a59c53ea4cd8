"""The way to the sign-in and back: to the page that was asked for, with what a form had sent."""

import base64
import binascii
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import hdrs, web

from mpanel_billing.access.sessions import form_token
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
from mpanel_billing.console.visit import require_own_site, set_cookie
from mpanel_billing.http import keys
from mpanel_billing.http.request import MAX_BODY_BYTES

HOME = "/console/find"
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
        values = sign_in_values(request, back=request.path, kept=kept)
        return request.app[RENDER](request, Page("sign_in.html", values, HTTPStatus.UNAUTHORIZED))
    if "HX-Request" in request.headers:  # a part of a page: the whole page goes
        place = urlsplit(request.headers.get("HX-Current-URL", "")).path
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
    }


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
    if kept:
        values = {"back": back, "fields": {**kept, SHOW_AGAIN: "yes"}, "token": form_token(token)}
        response = request.app[RENDER](request, Page("kept.html", values))
    else:
        response = redirect(Done(back))
    set_cookie(request, response, token)
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
