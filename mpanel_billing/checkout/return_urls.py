"""The URLs to which the payment page returns the buyer."""

from dataclasses import dataclass
from typing import Self

from pydantic import AnyHttpUrl
from yarl import URL

from mpanel_billing.settings import Settings

SESSION_ID = "{CHECKOUT_SESSION_ID}"
"""Stripe replaces it by the session's id; the braces must reach Stripe unencoded."""

_SUCCESS_PATH = "/checkout/success"
_CANCEL_PATH = "/pricing"


@dataclass(frozen=True, slots=True)
class ReturnUrls:
    """The URLs for Stripe; `success` contains SESSION_ID literally."""

    success: str
    cancel: str

    @classmethod
    def choose(cls, settings: Settings, success: str | None, cancel: str | None) -> Self:
        """Use the client's URLs if they are on an allowed origin, else our own.

        Any other URL would make the payment page an open redirect.
        """
        origins = settings.allowed_origins
        return cls(
            success=_with_session_id(
                allowed_address(success, origins) or _ours(settings, _SUCCESS_PATH)
            ),
            cancel=allowed_address(cancel, origins) or _ours(settings, _CANCEL_PATH),
        )


def allowed_address(text: str | None, origins: frozenset[str]) -> str | None:
    """Return the URL if it is on one of the origins, else None."""
    if not text:
        return None
    try:
        # a client may send Stripe's placeholder, whose braces are not valid in a URL
        url = URL(text.replace(SESSION_ID, "session"))
        origin = str(url.origin())
    except ValueError:
        return None
    plain = url.user is None and url.password is None and text.isascii() and text.isprintable()
    return text if plain and origin in origins else None


def _ours(settings: Settings, path: str) -> str:
    return app_address(settings.app_url) + path


def app_address(app_url: AnyHttpUrl) -> str:
    """Return APP_URL without a trailing slash."""
    return str(app_url).rstrip("/")


def _with_session_id(url: str) -> str:
    """Append the placeholder to the query as text: URL libraries would encode its braces."""
    if SESSION_ID in url:
        return url
    base, hash_, fragment = url.partition("#")
    joint = "&" if "?" in base else "?"
    return f"{base}{joint}session_id={SESSION_ID}{hash_}{fragment}"
