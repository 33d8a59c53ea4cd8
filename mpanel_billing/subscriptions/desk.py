"""What is needed to serve customers after the sale."""

from dataclasses import dataclass

from mpanel_billing.database.pool import Pool
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.gateway import StripeGateway


@dataclass(frozen=True, slots=True)
class ServiceDesk:
    """The books, Stripe, and the mode of Stripe whose rows are served (rule 14)."""

    pool: Pool
    gateway: StripeGateway
    livemode: bool

    @property
    def mirror(self) -> Mirror:
        """The rows that mirror Stripe."""
        return Mirror(self.pool, self.gateway, self.livemode)
