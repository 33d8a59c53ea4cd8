"""Orders by customers who have not paid for what they have."""

from uuid import UUID

from mpanel_billing.checkout.repository import orders
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import ConflictError


async def refuse_debtor(pool: Pool, customer_id: UUID) -> None:
    """Raise ConflictError `customer_owes` if an invoice of a customer's terms is due and unpaid.

    Only of a customer for whom mPanel vouches: others must not learn who owes something.
    """
    async with acquired(pool) as conn:
        owed = await orders.list_debts(conn, customer_id)
    if owed:
        raise ConflictError(
            "This customer has unpaid invoices. Pay them before ordering more.",
            code="customer_owes",
            fields={"customerId": "; ".join(owed)},
        )
