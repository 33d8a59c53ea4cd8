"""Choose another name in place of one that could not be obtained.

What was paid for the lost one is refunded on its own (`lost_domains`). The new one is quoted, and
charged by an invoice of its own: its first year is a row of `billing_domain_renewals` like each
further one. Only when that is paid, or at once if nothing is to be paid, is the order for the new
name; then the worker decides of it as of any that was ordered.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from mpanel_billing.catalogue.domain_pricing import price_domain
from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.order import OrderedDomain, PricedDomain
from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.checkout.cart import DomainChoice, read_domain
from mpanel_billing.checkout.ordered_domains import name_of, refuse_reserved
from mpanel_billing.checkout.quotes import Availability, find_availability
from mpanel_billing.checkout.session_params import metadata_texts
from mpanel_billing.database.pool import acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.domains.auth_codes import AuthCodes
from mpanel_billing.domains.repository import names, replacements
from mpanel_billing.domains.repository.names import BUYERS_OWN, MODES
from mpanel_billing.domains.repository.owned import OwnedDomain
from mpanel_billing.domains.repository.replacements import FirstYear, LostName, Untold
from mpanel_billing.domains.reserved import ReservedNames
from mpanel_billing.errors import (
    ConflictError,
    InvalidRequestError,
    StripeError,
    StripeObjectMissingError,
)
from mpanel_billing.jobs.queue import enqueue_provisioning
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.repository import operations
from mpanel_billing.stripe_gateway.subscriptions import ENDED_AT_STRIPE, update_subscription
from mpanel_billing.subscriptions.owned_domains import (
    LATE_DAYS,
    DomainRequest,
    get_domain,
    require_domain,
)
from mpanel_billing.subscriptions.repository.changes import Change
from mpanel_billing.subscriptions.requested_changes import REPEATABLE_FOR, StripeRequest
from mpanel_billing.subscriptions.stripe_requests import carry_out

logger = logging.getLogger(__name__)

MOST = 100
"""The limit of a run; the rest waits a minute."""

_RETRY_SECONDS = 3600.0
_TOLD = ("domainMode", "domainValue", "domainUnicode", "furtherDomains")
"""What Stripe's metadata says of the domains of an order."""


@dataclass(frozen=True, slots=True)
class Replacing:
    """What it needs: the mirror, the names that nobody can order, and the keys of auth codes.

    `auth_codes`: None if no registrar needs them.
    """

    mirror: Mirror
    reserved: ReservedNames
    auth_codes: AuthCodes | None = None


@dataclass(frozen=True, slots=True)
class QuotedName:
    """A name that could be chosen; `priced` is None for what its buyer has already."""

    domain: OrderedDomain
    availability: Availability
    currency: str
    priced: PricedDomain | None


@dataclass(frozen=True, slots=True)
class _Offer:
    """A name as it is offered in place of a lost one, by the catalogue of now."""

    lost: LostName
    domain: OrderedDomain
    currency: str
    priced: PricedDomain | None


async def quote_name(
    replacing: Replacing, request: DomainRequest, choice: DomainChoice
) -> QuotedName:
    """Say what a name would cost in place of a lost one, and whether it is available; no effect.

    ConflictError if no name can be chosen, InvalidRequestError for one that is not sold,
    NotFoundError.
    """
    domain, catalogue = _read(choice), await _read_offers(replacing)
    async with transaction(replacing.mirror.pool) as conn:
        lost = await _require_lost(conn, replacing.mirror, request)
        if not lost.is_replaceable:
            raise await _not_replaceable(conn, lost)
        offer = _offer(catalogue, lost, domain)
        found = await find_availability(
            conn, replacing.reserved, [domain], lost.vouched_customer_id
        )
    return QuotedName(domain, found[domain.ascii], offer.currency, offer.priced)


async def choose_name(
    replacing: Replacing,
    request: DomainRequest,
    choice: DomainChoice,
    *,
    price: int | None = None,
    key: str | None = None,
) -> OwnedDomain:
    """Choose a name in place of a lost one; a repeated request has no further effect.

    `price`: what its customer was shown for the first year. ConflictError if that is another, if
    somebody has the name, or if no name can be chosen; InvalidRequestError for a name that is not
    sold or reserved, NotFoundError.
    """
    mirror = replacing.mirror
    domain, catalogue = _read(choice), await _read_offers(replacing)
    refuse_reserved(replacing.reserved, [domain])
    async with transaction(mirror.pool) as conn:
        lost = await _require_lost(conn, mirror, request)

    async def decide(conn: Connection) -> Mapping[str, Any]:
        await names.lock_names(conn, [name_of(domain)])
        offer = _offer(catalogue, await _require_lost(conn, mirror, request), domain)
        return {"domainId": str(await _record(conn, replacing, offer, price)), **asked}

    async def send(_: Change) -> None:
        """Leave it to the worker, which charges what is on record."""

    asked = {"lost": lost.name, "domain": domain.ascii, "mode": domain.mode, "price": price}
    wanted = StripeRequest("replace_domain", lost.subscription_id, asked, key, REPEATABLE_FOR)
    change = await carry_out(mirror, request.by, wanted, decide, send)
    assert change is not None  # noqa: S101 - what is decided is on record
    return await get_domain(mirror, UUID(change.params["domainId"]), request.named)


def _read(choice: DomainChoice) -> OrderedDomain:
    domain = read_domain(choice.value, choice.mode, field="domain.value")
    return replace(domain, auth_code=choice.auth_code)


async def _read_offers(replacing: Replacing) -> Catalogue:
    return await read_catalogue(replacing.mirror.pool, livemode=replacing.mirror.livemode)


async def _require_lost(conn: Connection, mirror: Mirror, request: DomainRequest) -> LostName:
    """Return the name, which may be replaced already; NotFoundError, ConflictError."""
    domain = await require_domain(conn, mirror, request.id, request.named)
    lost = await replacements.get_lost(conn, domain.id)
    if lost is None or domain.state != "failed":
        raise ConflictError(
            f"{domain.unicode_name} is {domain.state}: only in place of a domain that could not be"
            " had another one can be chosen.",
            code="not_replaceable",
        )
    return lost


async def _not_replaceable(conn: Connection, lost: LostName) -> ConflictError:
    chosen = await replacements.find_chosen(conn, lost.id)
    if chosen is not None:
        return ConflictError(
            f"{chosen.name} was chosen in its place. Until that is paid for no other one can be.",
            code="replaced_already",
        )
    return ConflictError(
        "No other domain can be chosen in its place: the subscription is suspended or has ended,"
        " or its order is for another one now.",
        code="not_replaceable",
    )


def _offer(catalogue: Catalogue, lost: LostName, domain: OrderedDomain) -> _Offer:
    """Return what a name costs in place of a lost one; ConflictError, InvalidRequestError."""
    currency = lost.currency or catalogue.currency
    if domain.mode not in BUYERS_OWN:
        if lost.is_included and not lost.order_paid:
            raise ConflictError(
                "The term that includes this domain is not paid yet.", code="not_paid"
            )
        priced = price_domain(catalogue, domain, currency, is_included=lost.is_included)
        return _Offer(lost, domain, currency, priced)
    if not lost.is_own:
        raise InvalidRequestError(
            "In place of a further domain one can be registered or transferred.",
            fields={"domain.mode": "must be register, transfer or new-or-transfer"},
        )
    return _Offer(lost, domain, currency, None)


async def _record(conn: Connection, replacing: Replacing, offer: _Offer, price: int | None) -> UUID:
    """Record the choice, unless it is, and return the domain; ConflictError."""
    lost, domain = offer.lost, offer.domain
    if not lost.is_replaceable:
        chosen = await replacements.find_chosen(conn, lost.id)
        if chosen and (chosen.name, chosen.mode) == (domain.ascii, domain.mode):
            return chosen.id
        raise await _not_replaceable(conn, lost)
    await _refuse_taken(conn, offer)
    year = _first_year(offer, price, livemode=replacing.mirror.livemode)
    mode = MODES[domain.mode]
    id_ = await replacements.choose_name(conn, lost.id, name_of(domain), mode, year)
    if id_ is None:
        raise ConflictError(
            f"{domain.unicode} was ordered with this subscription already.", code="domain_owned"
        )
    await _keep_auth_code(conn, replacing.auth_codes, offer)
    if year is None:
        await put_in_place(conn, id_)
    return id_


async def _refuse_taken(conn: Connection, offer: _Offer) -> None:
    name, customer = name_of(offer.domain), offer.lost.vouched_customer_id
    if await names.list_taken(conn, [name], vouched_customer=customer):
        raise ConflictError(
            f"{name.unicode} is not available. Please choose another domain.",
            code="domain_taken",
            fields={"domain.value": "is not available"},
        )
    if customer and offer.priced and await names.list_owned(conn, [name], customer):
        raise ConflictError(
            f"{name.unicode} is yours already. Please choose it as a domain that you have.",
            code="domain_owned",
            fields={"domain.value": "is yours already"},
        )


def _first_year(offer: _Offer, price: int | None, *, livemode: bool) -> FirstYear | None:
    """Return what is to be charged; ConflictError if its customer was shown something else."""
    amount = offer.priced.first_year if offer.priced else 0
    if price is not None and price != amount:
        raise ConflictError(
            "The domain has another price now.",
            code="price_changed",
            fields={"firstYear": f"is {amount} {offer.currency}"},
        )
    if offer.priced is None:
        return None
    return FirstYear(
        amount,
        offer.currency,
        offer.priced.renewal,
        livemode,
        pay_by=datetime.now(UTC) + timedelta(days=LATE_DAYS),
    )


async def _keep_auth_code(conn: Connection, codes: AuthCodes | None, offer: _Offer) -> None:
    if codes is None or offer.domain.auth_code is None:
        return
    await names.hand_in_auth_code(
        conn,
        name_of(offer.domain),
        codes.encrypt(offer.domain.auth_code),
        subscription_id=offer.lost.subscription_id,
    )


async def put_in_place(conn: Connection, id_: UUID) -> None:
    """Have the order be for a chosen name, and the worker get it.

    Nothing, if the subscription has ended: what was paid is refunded.
    """
    subscription_id = await replacements.put_in_place(conn, id_)
    if subscription_id is None:
        return
    version = await operations.renew_work(conn, subscription_id)
    if version is not None:
        await enqueue_provisioning(conn, [(subscription_id, version)])


async def tell_stripe(mirror: Mirror) -> None:
    """Tell Stripe which names orders are for now: an order that is lost here is read from there."""
    async with acquired(mirror.pool) as conn:
        untold = await replacements.list_untold(conn, MOST, livemode=mirror.livemode)
    for order in untold:
        seconds = await _tell(mirror, order)
        async with acquired(mirror.pool) as conn:
            await replacements.note_told(conn, order.id, seconds)


async def _tell(mirror: Mirror, order: Untold) -> float | None:
    """Tell it, and return when to try again; None: Stripe knows, or does not know the order."""
    texts = metadata_texts(order.metadata)
    told = {name: texts.get(name, "") for name in _TOLD}
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
    key = f"replaced-{order.id}-{digest}"
    try:
        await update_subscription(
            mirror.stripe, order.stripe_subscription_id, {"metadata": told}, key
        )
    except StripeObjectMissingError:
        return None
    except StripeError as error:
        if error.stripe_code == ENDED_AT_STRIPE:
            return None
        logger.warning("its domain at Stripe: %s", error, extra={"domainId": str(order.id)})
        return error.retry_after or _RETRY_SECONDS
    return None
