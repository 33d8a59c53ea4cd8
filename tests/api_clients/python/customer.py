"""Whose life it is, and how their backend asks."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any
from uuid import UUID

from billing_client import AuthenticatedClient
from billing_client.api.billing import billing_invoices_get_all, billing_subscriptions_get_one
from billing_client.models import BillingInvoicesGetAllStatus, ErrorResponse


@dataclass
class Customer:
    """The customer, their subscription, and the ids that the API gave to both."""

    client: AuthenticatedClient
    session_id: str = ""
    subscription_id: UUID | None = None
    id: UUID | None = None

    def ask(self, operation: ModuleType, **sent: Any) -> Any:
        """Call an operation; return the response that is described for success."""
        response = operation.sync(client=self.client, **sent)
        assert response is not None, "undescribed status"
        assert not isinstance(response, ErrorResponse), response
        return response

    def refusal(self, operation: ModuleType, **sent: Any) -> str:
        """Call an operation that is refused; return the code."""
        response = operation.sync(client=self.client, **sent)
        assert isinstance(response, ErrorResponse), response
        return response.code

    def do(self, operation: ModuleType, body: Any, **headers: str) -> Any:
        """Call an operation of the subscription."""
        return self.ask(operation, id=self.subscription_id, body=body, **headers)

    def look(self) -> Any:
        """Return the subscription as it is now."""
        shown = self.ask(billing_subscriptions_get_one, id=self.subscription_id)
        return shown.subscription

    def invoices(self, status: str) -> list[Any]:
        """Return the invoices with a status, the newest first."""
        wanted = BillingInvoicesGetAllStatus(status)
        return self.ask(billing_invoices_get_all, customer_id=self.id, status=wanted).invoices
