"""What an order would cost, and whether a domain is available: nothing is recorded."""

from mpanel_billing.checkout.quotes import check_domain, quote_order
from mpanel_billing.checkout.session_params import CatalogueNotPushedError
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.http.coupon_codes import counting_codes
from mpanel_billing.http.endpoint import Call, Endpoints
from mpanel_billing.http.routes.checkout import NOT_SOLD, customer_id_refused
from mpanel_billing.http.schemas.checkout import QuoteRequest
from mpanel_billing.http.schemas.quotes import DomainCheckResponse, DomainQuery, QuoteResponse

routes = Endpoints("checkout")


@routes.endpoint(
    "POST",
    "/api/checkout/quote",
    optional_scope="billing:change",
    limit="lookups",
    calls_stripe=True,
    refusals={
        InvalidRequestError: (*NOT_SOLD, "invalid_tax_id", "unknown_place"),
        CatalogueNotPushedError: (),
    },
)
async def quote(call: Call[None, None, QuoteRequest]) -> QuoteResponse:
    """Price an order as `create-session` would, without placing it; takes the same body.

    With a `place` it quotes the taxes, if Stripe computes any (TAX).

    Unknown, expired and used-up coupons read the same. mPanel's backend, with its key, may ask for
    a customer, whose own domains are not taken.
    """
    if call.body.customer_id and call.actor is None:
        raise customer_id_refused()
    async with counting_codes(call, call.body.coupon_code):
        found = await quote_order(
            call.app[keys.CHECKOUT],
            call.body.to_selection(),
            call.body.customer_id,
            call.body.place.to_place() if call.body.place else None,
            call.body.tax_id.to_tax_id() if call.body.tax_id else None,
        )
    return QuoteResponse.of(found)


@routes.endpoint(
    "GET",
    "/api/public/domains/check",
    limit="lookups",
    refusals={InvalidRequestError: ("currency_not_sold", "invalid_domain", "invalid_request")},
)
async def check(call: Call[None, DomainQuery]) -> DomainCheckResponse:
    """Say whether a domain can be ordered, and what it costs; not whose it is."""
    query = call.query
    checked = await check_domain(call.app[keys.CHECKOUT], query.name, query.currency)
    return DomainCheckResponse.of(checked)
