"""The domains of an order: names that it cannot get are refused before anyone pays."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from mpanel_billing.catalogue.domain_pricing import CHARGED_DOMAIN_MODES
from mpanel_billing.catalogue.order import Order, OrderedDomain
from mpanel_billing.checkout.purchase import Purchase, Row
from mpanel_billing.database.queries import Connection
from mpanel_billing.domains.auth_codes import AuthCodes
from mpanel_billing.domains.names import DomainName
from mpanel_billing.domains.repository import names as repository
from mpanel_billing.domains.reserved import ReservedNames
from mpanel_billing.errors import ConflictError, InvalidRequestError

_FIELD = "domain.value"


def refuse_reserved(reserved: ReservedNames, domains: Sequence[OrderedDomain]) -> None:
    """Raise InvalidRequestError if nobody can order one of the domains."""
    for domain in domains:
        if reserved.reserve(name_of(domain)):
            raise InvalidRequestError(
                f"{domain.unicode} cannot be ordered. Please choose another domain.",
                code="domain_reserved",
                fields={_FIELD: "cannot be ordered"},
            )


async def with_owned(conn: Connection, order: Order, customer_id: UUID) -> Order:
    """Return the order with the names that its customer has kept as some that they have already.

    Their registration is paid for. mPanel vouches for the customer. What a subscription that
    lives has is left as it is, to be refused.
    """
    charged = [name_of(each) for each in order.domains if each.mode in CHARGED_DOMAIN_MODES]
    if not charged:
        return order
    owned = await repository.list_owned(conn, charged, customer_id)
    domains = tuple(
        each if owned.get(each.ascii, True) else replace(each, mode="existing")
        for each in order.domains
    )
    return replace(order, domains=domains)


async def refuse_taken(conn: Connection, purchase: Purchase) -> None:
    """Raise ConflictError if another customer has one of the domains, or one under or above it.

    The names stay locked until the transaction ends, so that a tenant that gets one at this
    moment sees the order, or the order sees the tenant. The error does not say who has it, nor
    which of the two names they have.
    """
    names = [name_of(domain) for domain in purchase.order.domains]
    if not names:
        return
    vouched = purchase.existing.id if purchase.existing else None
    await repository.lock_names(conn, names)
    taken = await repository.list_taken(conn, names, vouched_customer=vouched)
    for name in names:
        if name.ascii in taken:
            raise ConflictError(
                f"{name.unicode} is not available. Please choose another domain. If it is yours, "
                "please sign in to order with it, or contact us.",
                code="domain_taken",
                fields={_FIELD: "is not available"},
            )
    if vouched is not None:
        await _refuse_owned(conn, purchase, vouched)


async def _refuse_owned(conn: Connection, purchase: Purchase, customer_id: UUID) -> None:
    """Raise ConflictError if the customer would pay for the registration of what they have."""
    charged = {domain.ascii for domain in purchase.priced.domains}
    names = [name_of(each) for each in purchase.order.domains if each.ascii in charged]
    owned = await repository.list_owned(conn, names, customer_id) if names else {}
    for name in names:
        if name.ascii in owned:
            raise ConflictError(
                f"{name.unicode} is yours already. Please order with it as a domain that you have.",
                code="domain_owned",
                fields={_FIELD: "is yours already"},
            )


async def store_auth_codes(
    conn: Connection, auth_codes: AuthCodes | None, order: Order, subscription_id: UUID
) -> None:
    """Store the auth codes that came with an order, encrypted; None: no registrar needs them.

    Raises InvalidRequestError for what cannot be one.
    """
    for domain in order.domains if auth_codes else ():
        if auth_codes and domain.auth_code is not None:
            await repository.hand_in_auth_code(
                conn,
                name_of(domain),
                auth_codes.encrypt(domain.auth_code),
                subscription_id=subscription_id,
            )


def domain_rows(purchase: Purchase) -> list[Row]:
    """Return the names that the order is for, and what it says that they cost, now and later."""
    priced = purchase.priced
    nets = {domain.ascii: domain.net for domain in priced.domains if domain.first_year}
    renewals = {domain.ascii: domain.renewal for domain in priced.domains}
    return [
        {
            **repository.domain_row(name_of(domain), domain.mode),
            "price": nets.get(domain.ascii),
            "order_total": priced.total if domain.ascii in nets else None,
            "currency": priced.currency if domain.ascii in renewals else None,
            "renewal_price": renewals.get(domain.ascii),
        }
        for domain in purchase.order.domains
        if domain.mode != "later"
    ]


def name_of(domain: OrderedDomain) -> DomainName:
    """Return the name of a domain in an order."""
    return DomainName(domain.ascii, domain.unicode)
