"""Access data of a new account, as it is handed out."""

from typing import Self

from pydantic import Field

from mpanel_billing.http.schemas.base import OwnerRequest, Response
from mpanel_billing.provisioning.drivers.protocol import AccessData


class AccessDataRequest(OwnerRequest):
    """The customer whose account it is."""


class AccessDataResponse(Response):
    """What the service returned when it made the account; each is null if it said nothing."""

    user_name: str | None
    server: str | None
    link: str | None = Field(description="Works once: the owner sets a password with it.")

    @classmethod
    def of(cls, data: AccessData) -> Self:
        """Build the response."""
        return cls(user_name=data.user_name, server=data.server, link=data.link)
