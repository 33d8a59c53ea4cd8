"""/api/billing/domains: the domains that customers have, and their further years."""

from mpanel_billing.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    ServiceUnreachableError,
)
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.operation import Refusals
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.base import OwnerQuery, OwnerRequest
from mpanel_billing.http.schemas.owned_domains import (
    AuthCodeResponse,
    AutoRenewRequest,
    DomainResponse,
    DomainsQuery,
    DomainsResponse,
    MoveRequest,
    OwnedDomainSchema,
    PreviewReplacementRequest,
    ReleaseRequest,
    RenewRequest,
    ReplacementQuoteResponse,
    ReplaceRequest,
)
from mpanel_billing.subscriptions import owned_domains, replaced_domains
from mpanel_billing.subscriptions.owned_domains import DomainRequest
from mpanel_billing.subscriptions.paging import Place, Span, cut_page, read_cursor
from mpanel_billing.subscriptions.replaced_domains import Replacing

routes = Endpoints("billing")

_ONE = "/api/billing/domains/{id}"
_UNKNOWN: Refusals = {NotFoundError: ("unknown_domain",)}
_NO_YEAR = ("not_renewable", "price_changed")
_NO_NAME = ("not_replaceable", "replaced_already", "not_paid")
_NOT_SOLD = ("currency_not_sold", "invalid_domain", "invalid_request", "unknown_tld")


@routes.endpoint(
    "GET",
    "/api/billing/domains",
    scope="billing:read",
    refusals={
        NotFoundError: ("unknown_customer", "unknown_subscription"),
        InvalidRequestError: ("invalid_request",),
    },
)
async def get_all(call: KeyedCall[None, DomainsQuery]) -> DomainsResponse:
    """Return the domains of a customer, newest first, in pages; or those of a subscription."""
    query = call.query
    named = query.named if query.subscription_id else query.require_named("subscriptionId")
    span = Span(query.limit + 1, read_cursor(query.cursor))
    mirror = call.app[keys.MIRROR]
    rows = await owned_domains.list_domains(mirror, named, query.subscription_id, span)
    if query.subscription_id:
        return DomainsResponse.of(rows, None)
    page, cursor = cut_page(rows, query.limit, lambda row: Place(row.created_at, row.id))
    return DomainsResponse.of(page, cursor)


@routes.endpoint("GET", _ONE, scope="billing:read", refusals=_UNKNOWN)
async def get_one(call: KeyedCall[IdPath, OwnerQuery]) -> DomainResponse:
    """Return one domain; with `customerId` or `userId` only if it is that customer's."""
    mirror = call.app[keys.MIRROR]
    return DomainResponse.of(await owned_domains.get_domain(mirror, call.path.id, call.query.named))


@routes.endpoint(
    "POST",
    f"{_ONE}/auto-renew",
    scope="billing:change",
    refusals={**_UNKNOWN, ConflictError: _NO_YEAR},
)
async def post_auto_renew(call: KeyedCall[IdPath, None, AutoRenewRequest]) -> DomainResponse:
    """Have further years of a domain charged, or not; what is not paid yet is taken back then."""
    mirror, body = call.app[keys.MIRROR], call.body
    domain = await owned_domains.set_auto_renew(
        mirror, _request(call), on=body.auto_renew, price=body.renewal_price
    )
    return DomainResponse.of(domain)


@routes.endpoint(
    "POST",
    f"{_ONE}/renew",
    scope="billing:change",
    body_optional=True,
    refusals={**_UNKNOWN, ConflictError: (*_NO_YEAR, "renewal_in_progress")},
)
async def post_renew(call: KeyedCall[IdPath, None, RenewRequest]) -> DomainResponse:
    """Have the year that follows charged now, also of a domain that has just expired."""
    mirror, price = call.app[keys.MIRROR], call.body.renewal_price
    return DomainResponse.of(await owned_domains.order_year(mirror, _request(call), price=price))


@routes.endpoint(
    "POST",
    f"{_ONE}/transfer-out",
    scope="billing:transfer-out",
    body_optional=True,
    refusals={
        **_UNKNOWN,
        ConflictError: ("not_at_registrar", "registrar_refused"),
        ServiceUnreachableError: (),
    },
)
async def post_transfer_out(call: KeyedCall[IdPath, None, ReleaseRequest]) -> AuthCodeResponse:
    """Unlock a domain, and return the auth code for its transfer away; it is stored nowhere."""
    mirror, drivers = call.app[keys.MIRROR], call.app[keys.DRIVERS]
    domain, code = await owned_domains.get_auth_code(mirror, drivers, _request(call))
    return AuthCodeResponse(domain=OwnedDomainSchema.of(domain), auth_code=code)


@routes.endpoint(
    "POST",
    f"{_ONE}/release",
    scope="billing:change",
    body_optional=True,
    refusals={**_UNKNOWN, ConflictError: ("domain_in_use",)},
)
async def post_release(call: KeyedCall[IdPath, None, ReleaseRequest]) -> DomainResponse:
    """Let others have a domain that a customer has kept after the end of their plan."""
    return DomainResponse.of(await owned_domains.release(call.app[keys.MIRROR], _request(call)))


@routes.endpoint(
    "POST",
    f"{_ONE}/move",
    scope="billing:change",
    refusals={
        NotFoundError: ("unknown_domain", "unknown_subscription"),
        ConflictError: ("domain_not_movable",),
    },
)
async def post_move(call: KeyedCall[IdPath, None, MoveRequest]) -> DomainResponse:
    """Give a domain to the tenant of another subscription of the same customer."""
    mirror, to = call.app[keys.MIRROR], call.body.subscription_id
    return DomainResponse.of(await owned_domains.move(mirror, _request(call), to))


@routes.endpoint(
    "POST",
    f"{_ONE}/preview-replacement",
    scope="billing:read",
    refusals={
        **_UNKNOWN,
        ConflictError: _NO_NAME,
        InvalidRequestError: _NOT_SOLD,
    },
)
async def post_preview_replacement(
    call: KeyedCall[IdPath, None, PreviewReplacementRequest],
) -> ReplacementQuoteResponse:
    """Say what a domain would cost in place of one that could not be obtained; changes nothing."""
    choice = call.body.to_choice()
    quoted = await replaced_domains.quote_name(_replacing(call), _request(call), choice)
    return ReplacementQuoteResponse.of(quoted)


@routes.endpoint(
    "POST",
    f"{_ONE}/replace",
    scope="billing:change",
    idempotent=True,
    refusals={
        **_UNKNOWN,
        ConflictError: (
            *_NO_NAME,
            "domain_taken",
            "domain_owned",
            "price_changed",
            "change_in_progress",
            "idempotency_key_reused",
        ),
        InvalidRequestError: (*_NOT_SOLD, "domain_reserved"),
    },
)
async def post_replace(call: KeyedCall[IdPath, None, ReplaceRequest]) -> DomainResponse:
    """Choose a domain in place of one that could not be obtained; honours `Idempotency-Key`.

    It is charged by an invoice of its own, and registered when that is paid.
    """
    body = call.body
    domain = await replaced_domains.choose_name(
        _replacing(call),
        _request(call),
        body.to_choice(),
        price=body.first_year,
        key=call.idempotency_key,
    )
    return DomainResponse.of(domain)


def _replacing(call: KeyedCall[IdPath, None, OwnerRequest]) -> Replacing:
    checkout = call.app[keys.CHECKOUT]
    return Replacing(call.app[keys.MIRROR], checkout.reserved, checkout.auth_codes)


def _request(call: KeyedCall[IdPath, None, OwnerRequest]) -> DomainRequest:
    return DomainRequest(call.actor, call.path.id, call.body.named)
