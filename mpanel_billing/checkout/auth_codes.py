"""Auth codes that are handed in after the order."""

from uuid import UUID

from pydantic import SecretStr

from mpanel_billing.checkout.cart import read_domain
from mpanel_billing.checkout.checkout import Checkout
from mpanel_billing.checkout.ordered_domains import name_of
from mpanel_billing.database.pool import acquired
from mpanel_billing.domains.repository.names import hand_in_auth_code
from mpanel_billing.errors import ConflictError


async def hand_in(
    checkout: Checkout,
    domain: str,
    code: SecretStr,
    *,
    subscription_id: UUID,
) -> str:
    """Store the code for a domain's transfer, and return the name in ASCII.

    Only for a domain of this order. Raises InvalidRequestError for what is no domain or no code,
    ConflictError if no transfer of it waits for one.
    """
    name = name_of(read_domain(domain, "transfer", field="domain"))
    if checkout.auth_codes is not None:
        stored = checkout.auth_codes.encrypt(code)
        async with acquired(checkout.mirror.pool) as conn:
            if await hand_in_auth_code(conn, name, stored, subscription_id=subscription_id):
                return name.ascii
    raise ConflictError(
        f"No transfer of {name.unicode} waits for an auth code: none was ordered, or it has been"
        " asked for already.",
        code="no_transfer",
    )
