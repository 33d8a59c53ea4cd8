"""Whom a request is about: mPanel's backend names a customer, and vouches for him."""

from dataclasses import dataclass
from uuid import UUID

from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import NotFoundError
from mpanel_billing.subscriptions import repository


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


async def require_customer(conn: Connection, named: Named) -> UUID:
    """Return the customer's id in our books; NotFoundError when nobody is called all that."""
    found = await repository.find_customer(conn, named.customer_id, named.user_id, named.email)
    if found is None:
        raise NotFoundError("We know no such customer.", code="unknown_customer")
    return found


async def may_reach(conn: Connection, named: Named, owner_id: UUID | None) -> bool:
    """Tell whether a request may be about what belongs to that customer; None: it is nobody's yet.

    A request that names nobody is the backend's own, and may be about anything.
    """
    if named.anybody:
        return True
    found = await repository.find_customer(conn, named.customer_id, named.user_id, named.email)
    return found is not None and found == owner_id
