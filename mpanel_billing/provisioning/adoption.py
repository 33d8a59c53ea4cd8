"""Look for the accounts of a subscription that was brought back, before any is created."""

from collections.abc import Sequence

import asyncpg

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import BillingError, ConflictError
from mpanel_billing.provisioning.drivers.protocol import Account, Found
from mpanel_billing.provisioning.drivers.registry import Drivers, LimitedDriver
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.product_resources import resources_by_type
from mpanel_billing.provisioning.repository import accounts
from mpanel_billing.provisioning.service_state import Service
from mpanel_billing.provisioning.work import Work


class NotInspectedError(BillingError):
    """A service cannot say whether it has an account: creating one might make a second."""

    code = "not_inspected"


async def adopt_accounts(pool: Pool, drivers: Drivers, lease: Lease, work: Work) -> None:
    """Record the accounts that the services have for the subscription.

    Raises NotInspectedError if a service cannot be asked, and ConflictError if an account belongs
    to another subscription; the run is tried again.
    """
    for product_type in sorted({*resources_by_type(work.entitlement.items), *work.services}):
        service = work.services.get(product_type)
        places = drivers.places(product_type, service.driver if service else None)
        await _adopt_account(pool, lease, product_type, service, places)
    async with acquired(pool) as conn:
        await accounts.note_inspected(conn, lease.subscription_id)


async def _adopt_account(
    pool: Pool,
    lease: Lease,
    product_type: str,
    service: Service | None,
    places: Sequence[tuple[str | None, LimitedDriver]],
) -> None:
    """Record the account wherever it is: after a move, its server may not be the recorded one."""
    account = Account(
        lease.subscription_id,
        product_type,
        service.external_ref if service else None,
        service.account_id if service else None,
    )
    answers = [(server, limited, await _inspect(account, limited)) for server, limited in places]
    there = [each for each in answers if each[2] and each[2].actual in {"active", "suspended"}]
    if len(there) > 1:
        servers = " and ".join(str(server) for server, _, _ in there)
        raise ConflictError(
            f"The account for {product_type} is on {servers}: a move was under way. Delete the one"
            " that is not in use, at its server; then retry."
        )
    for server, limited, found in there:
        if found is not None:
            await _record(
                pool, lease, product_type, found, driver=limited.driver.name, server=server
            )
            return
    gone = next((found for _, _, found in answers if found is not None), None)
    if service is not None and gone is not None:
        async with acquired(pool) as conn:
            await accounts.store_finding(conn, lease, service, gone)


async def _inspect(account: Account, limited: LimitedDriver) -> Found | None:
    """Return the account as a service has it; None if it can never say."""
    async with limited.limit.slot():
        found = await limited.driver.inspect(account)
    if isinstance(found, Found):
        return found
    if found.permanently:
        return None
    raise NotInspectedError(
        f"Whether the account for {account.product_type} exists is not known: {found.reason}"
    )


async def _record(
    pool: Pool, lease: Lease, product_type: str, found: Found, *, driver: str, server: str | None
) -> None:
    async with acquired(pool) as conn:
        try:
            await accounts.adopt_account(
                conn, lease, product_type, found, driver=driver, server=server
            )
        except asyncpg.UniqueViolationError:
            raise ConflictError(
                f"The account {found.external_ref} for {product_type} belongs to another"
                " subscription."
            ) from None
