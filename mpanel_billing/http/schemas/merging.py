"""Who a customer is: their account in mPanel, and records of one person."""

from uuid import UUID

from pydantic import Field

from mpanel_billing.http.schemas.base import OwnerRequest, Response


class LinkUserRequest(OwnerRequest):
    """The customer of the address, and the account in mPanel that is theirs."""

    account_id: UUID = Field(description="Its `users.id`.")


class MergeRequest(OwnerRequest):
    """The customer of the address, and the one that gets everything."""

    into_customer_id: UUID


class UndoMergeRequest(OwnerRequest):
    """The customer of the address."""


class CustomerResponse(Response):
    """The customer record that has everything now."""

    customer_id: UUID
