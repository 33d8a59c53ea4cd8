"""The driver that only logs: for trying things out, and for types that nothing serves yet."""

import logging

from mpanel_billing.provisioning.drivers.protocol import (
    Account,
    Done,
    Found,
    Order,
    Result,
    Unknown,
)

logger = logging.getLogger(__name__)


class LogDriver:
    """Carries out every order by logging it; the reference it answers is made up."""

    name = "log"

    async def create(self, order: Order) -> Result:
        """Log it."""
        return self._log(order)

    async def suspend(self, order: Order) -> Result:
        """Log it."""
        return self._log(order)

    async def resume(self, order: Order) -> Result:
        """Log it."""
        return self._log(order)

    async def change(self, order: Order) -> Result:
        """Log it."""
        return self._log(order)

    async def terminate(self, order: Order) -> Result:
        """Log it."""
        return self._log(order)

    async def inspect(self, account: Account) -> Found | Unknown:
        """Tell that it cannot tell: nothing is kept anywhere."""
        return Unknown(f"no accounts are kept for {account.product_type}, orders are only logged")

    def _log(self, order: Order) -> Result:
        reference = order.external_ref or f"log-{order.subscription_id}"
        logger.info(
            "%s %s",
            order.action,
            order.product_type,
            extra={
                "subscriptionId": str(order.subscription_id),
                "productType": order.product_type,
                "action": order.action,
                "externalRef": reference,
            },
        )
        return Done(reference)
