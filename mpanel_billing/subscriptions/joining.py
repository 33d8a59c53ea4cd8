"""Join what was ordered without an account to the account whose verified address it names.

Anyone can open an account with an address of others, so nothing joins before mPanel has verified it
(`users.email_verified`; docs/decisions/0019). The worker's sweep looks for it every minute, among
the accounts that triggers have noted since (`billing_noted_users`).
"""

import logging

from mpanel_billing.checkout.repository.orders import lock_buyer
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.mirror.locks import lock
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.repository.customers import Joinable

logger = logging.getLogger(__name__)


async def join_accounts(pool: Pool, most: int) -> int:
    """Join at most `most` records to their accounts; return how many have joined."""
    async with acquired(pool) as conn:
        await repository.customers.forget_noted(conn)
        found = await repository.customers.list_joinable(conn, most)
    return sum([await _join(pool, record) for record in found])


async def _join(pool: Pool, record: Joinable) -> bool:
    """Join one record, unless its account has changed since it was found.

    Orders at the address, and events of the record that are being applied, are waited for.
    """
    async with transaction(pool) as conn:
        await lock_buyer(conn, record.buyer)
        if record.account_id is None:
            return await repository.customers.give_to_account(conn, record)
        keys = await repository.customers.list_lock_keys(conn, record.id)
        await lock(conn, keys)
        joined = await repository.customers.join_account(conn, record.id, record.account_id)
    if joined:
        logger.info("orders joined an account", extra={"customerId": str(record.account_id)})
    return joined
