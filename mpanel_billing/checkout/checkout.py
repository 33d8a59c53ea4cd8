"""What checkout works with: the mirror, what is on sale, and the terms of payment."""

from dataclasses import dataclass

from mpanel_billing.access.persons import PersonHasher
from mpanel_billing.catalogue.kept import KeptCatalogue
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.checkout.session_params import PaymentTerms
from mpanel_billing.database.notifications import SubscriptionChanges
from mpanel_billing.domains.auth_codes import AuthCodes
from mpanel_billing.domains.reserved import ReservedNames
from mpanel_billing.mirror.mirror import Mirror


@dataclass(frozen=True, slots=True)
class Checkout:
    """What checkout needs: the mirror, notice of changed orders, and the terms of payment.

    `catalogue` is what is on sale, as far as this process has heard.
    `persons` recognises a buyer by another of their e-mail addresses; `reserved` are the domains
    that nobody can order. `auth_codes` keeps those of transfers; None: no registrar needs them.
    `promotion_codes`: those made at Stripe are taken, too.
    """

    mirror: Mirror
    catalogue: KeptCatalogue
    changes: SubscriptionChanges
    terms: PaymentTerms
    persons: PersonHasher
    reserved: ReservedNames
    auth_codes: AuthCodes | None = None
    promotion_codes: bool = True


async def load_offers(checkout: Checkout) -> Catalogue:
    """Return what is on sale now."""
    return await read_catalogue(checkout.mirror.pool, livemode=checkout.mirror.livemode)
