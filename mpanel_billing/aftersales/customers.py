"""Whom a request is about: mPanel's backend names a customer, and vouches for him."""

from dataclasses import dataclass
from uuid import UUID

from mpanel_billing.aftersales import repository
from mpanel_billing.aftersales.desk import ServiceDesk
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Named:
    """The names by which a request calls a customer; all that are given must mean the same one.

    `customer_id` is our `customers.id`, `user_id` mPanel's `users.id`.
    """

    customer_id: UUID | None = None
    user_id: UUID | None = None
    email: str | None = None

    @property
    def anybody(self) -> bool:
        """Whether nobody in particular is named."""
        return self.customer_id is None and self.user_id is None and self.email is None


async def find_customer(desk: ServiceDesk, named: Named) -> UUID:
    """Return the customer's id in our books; NotFoundError when nobody is called all that."""
    async with acquired(desk.pool) as conn:
        return await require_customer(conn, named)


async def require_customer(conn: Connection, named: Named) -> UUID:
    """Return the customer's id in our books; NotFoundError when nobody is called all that."""
    found = await repository.find_customer(conn, named.customer_id, named.user_id, named.email)
    if found is None:
        raise NotFoundError("We know no such customer.", code="unknown_customer")
    return found
