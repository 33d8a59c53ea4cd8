"""Look for the accounts of a subscription that was brought back, before any is created."""

import asyncpg

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import BillingError, ConflictError
from mpanel_billing.provisioning.desired import resources_by_type
from mpanel_billing.provisioning.drivers.protocol import Account, Found, Unknown
from mpanel_billing.provisioning.drivers.registry import Drivers, LimitedDriver
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.repository import accounts
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
        driver = _driver(drivers, work, product_type)
        if driver is not None:
            await _adopt_account(pool, lease, work, product_type, driver)
    async with acquired(pool) as conn:
        await accounts.note_inspected(conn, lease.subscription_id)


def _driver(drivers: Drivers, work: Work, product_type: str) -> LimitedDriver | None:
    service = work.services.get(product_type)
    if service is None:
        return drivers.choose(product_type)
    return drivers.find(product_type, service.driver)


async def _adopt_account(
    pool: Pool, lease: Lease, work: Work, product_type: str, limited: LimitedDriver
) -> None:
    service = work.services.get(product_type)
    reference = service.external_ref if service else None
    async with limited.limit.slot():
        found = await limited.driver.inspect(
            Account(
                lease.subscription_id,
                product_type,
                reference,
                service.account_id if service else None,
            )
        )
    if isinstance(found, Unknown):
        if found.permanently:
            return
        raise NotInspectedError(
            f"Whether the account for {product_type} exists is not known: {found.reason}"
        )
    if found.actual in {"active", "suspended"}:
        await _record(pool, lease, product_type, limited.driver.name, found)
    elif service is not None:
        async with acquired(pool) as conn:
            await accounts.store_finding(conn, lease, service, found)


async def _record(pool: Pool, lease: Lease, product_type: str, driver: str, found: Found) -> None:
    async with acquired(pool) as conn:
        try:
            await accounts.adopt_account(conn, lease, product_type, driver, found)
        except asyncpg.UniqueViolationError:
            raise ConflictError(
                f"The account {found.external_ref} for {product_type} belongs to another"
                " subscription."
            ) from None
