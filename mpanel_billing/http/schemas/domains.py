"""Bodies about domains."""

from typing import Annotated

from pydantic import Field, SecretStr

from mpanel_billing.domains.auth_codes import LONGEST_AUTH_CODE
from mpanel_billing.http.schemas.base import Request, Response

AuthCode = Annotated[
    SecretStr,
    Field(
        min_length=1,
        max_length=LONGEST_AUTH_CODE,
        description="The code from the registrar that has the domain.",
    ),
]


class OrderedAuthCodeRequest(Request):
    """The auth code of a domain of an order."""

    domain: Annotated[str, Field(max_length=253)]
    auth_code: AuthCode


class HandedInResponse(Response):
    """The domain whose transfer is asked for with it."""

    domain: str
