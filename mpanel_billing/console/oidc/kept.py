"""What a form had sent when its session was over, while its person signs in at the provider.

It is a signed text in a cookie, so that any process can show the form again, no row is left behind
by who gives up, and no address has what was entered. It is of one person: only the provider's
subject that had signed in to the session of the form gets it.
"""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from mpanel_billing.access.signed import ExpiredTokenError, Signer, UnreadableTokenError

LIFETIME = timedelta(minutes=30)
LONGEST = 3600
"""Characters: with its name and attributes, less than browsers keep of a cookie."""


@dataclass(frozen=True, slots=True)
class KeptForm:
    """Where a form goes to, its fields, and whose it is."""

    place: str
    fields: Mapping[str, str]
    subject: Mapping[str, str]


class KeptForms:
    """Writes forms as texts, and reads them."""

    def __init__(self, signing: Sequence[bytes]) -> None:
        """Sign with the first of the secrets."""
        self._signer = Signer(signing, "console-form")

    def write(self, form: KeptForm, now: datetime) -> str | None:
        """Return the text of a form; None if it is too long to be kept."""
        packed = zlib.compress(urlencode(form.fields).encode(), 9)
        claims = {
            "place": form.place,
            "fields": urlsafe_b64encode(packed).decode(),
            "subject": dict(form.subject),
        }
        text = self._signer.sign(claims, now=now, lifetime=LIFETIME)
        return text if len(text) <= LONGEST else None

    def read(self, text: str, now: datetime) -> KeptForm | None:
        """Return the form of a text; None if it is not ours, or too old."""
        try:
            claims = self._signer.read(text, now=now)
        except (ExpiredTokenError, UnreadableTokenError):
            return None
        pairs = zlib.decompress(urlsafe_b64decode(claims["fields"])).decode()
        fields = dict(parse_qsl(pairs, keep_blank_values=True))
        return KeptForm(claims["place"], fields, claims["subject"])


KEPT_FORMS = web.AppKey("kept_forms", KeptForms)
