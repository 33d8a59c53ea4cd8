"""Ask the services whether what a customer uses fits into a smaller plan, before money moves."""

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import ConflictError, ServiceUnreachableError
from mpanel_billing.provisioning.drivers.protocol import DoesNotFit, Unknown
from mpanel_billing.provisioning.drivers.registry import Drivers
from mpanel_billing.provisioning.product_resources import is_less
from mpanel_billing.provisioning.repository.accounts import HeldAccount, list_held
from mpanel_billing.subscriptions.item_changes import PlanChange
from mpanel_billing.subscriptions.records import Subscription


async def refuse_unfit(
    pool: Pool, drivers: Drivers, held: Subscription, change: PlanChange
) -> None:
    """Raise ConflictError, in the service's words, if an account uses more than it would have.

    A service that cannot be reached is asked again when a change at the end of the term begins; for
    one that is made now it is ServiceUnreachableError.
    """
    if not change.items or change.resources is None:
        return
    async with acquired(pool) as conn:
        accounts = await list_held(conn, held.id)
    for account in accounts:
        after = change.resources.get(account.product_type)
        if after is not None and is_less(account.resources, after):
            await _ask(drivers, account, change)


async def _ask(drivers: Drivers, account: HeldAccount, change: PlanChange) -> None:
    driver = drivers.find(account.product_type, account.driver, account.server)
    if driver is None or change.resources is None:
        return
    async with driver.limit.slot():
        found = await driver.driver.check_change(
            account.account, change.resources[account.product_type]
        )
    if isinstance(found, DoesNotFit):
        raise ConflictError(
            f"This does not fit: {found.reason}",
            code="does_not_fit",
            fields={"planId": f"{account.product_type}: {found.reason}"},
        )
    if isinstance(found, Unknown) and not found.permanently and not change.waits:
        raise ServiceUnreachableError(
            f"The {account.product_type} service could not be asked whether this fits.",
            retry_after=60,
        )
