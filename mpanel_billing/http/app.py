"""The web application, assembled from the settings."""

from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from mpanel_billing.access.keyring import KeyRing
from mpanel_billing.access.persons import PersonHasher
from mpanel_billing.access.signed import Signer
from mpanel_billing.background import background
from mpanel_billing.catalogue.kept import KeptCatalogue
from mpanel_billing.checkout.checkout import Checkout
from mpanel_billing.checkout.order_watcher import OrderWatcher, RefreshLimit
from mpanel_billing.checkout.session_params import PaymentTerms
from mpanel_billing.database.notifications import SubscriptionChanges, listen
from mpanel_billing.domains.auth_codes import AuthCodes
from mpanel_billing.domains.reserved import load_reserved_names
from mpanel_billing.encryption import Vault
from mpanel_billing.http import keys
from mpanel_billing.http.browser import remember_browser
from mpanel_billing.http.connections import DIRECT
from mpanel_billing.http.middleware import MIDDLEWARES, refuse_undeclared
from mpanel_billing.http.openapi import document
from mpanel_billing.http.openapi.document import DOCUMENT, ApiDocument
from mpanel_billing.http.rate_limits import RATE_LIMITER, open_rate_limiter
from mpanel_billing.http.response_headers import add_headers
from mpanel_billing.http.routes import (
    admin_audit,
    admin_deleted,
    admin_events,
    admin_find,
    admin_notes,
    admin_provisioning,
    admin_reconcile,
    admin_servers,
    billing_access_data,
    billing_balances,
    billing_charges,
    billing_coupons,
    billing_customers,
    billing_disputes,
    billing_domain_proofs,
    billing_domains,
    billing_endings,
    billing_entitlements,
    billing_invoice_actions,
    billing_invoices,
    billing_money_back,
    billing_new_invoices,
    billing_portal,
    billing_subscriptions,
    billing_usage,
    catalogue,
    checkout,
    checkout_auth_codes,
    health,
    quotes,
    storefront,
    webhooks,
)
from mpanel_billing.http.routes.direct_webhooks import DirectWebhooks
from mpanel_billing.http.server import SHUTDOWN, announce_shutdown
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.drivers.registry import list_unmade, open_drivers
from mpanel_billing.provisioning.policy import policy_of
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.gateway import open_gateway
from mpanel_billing.subscriptions.entitlements import Entitlements
from mpanel_billing.telemetry.figures import FigureReader
from mpanel_billing.telemetry.pool import open_pool, sampled
from mpanel_billing.telemetry.tracing import active_tracing
from mpanel_billing.webhooks.batching import EventBatcher

_ROUTES = (
    admin_audit,
    admin_deleted,
    admin_events,
    admin_find,
    admin_notes,
    admin_provisioning,
    admin_reconcile,
    admin_servers,
    billing_access_data,
    billing_balances,
    billing_charges,
    billing_coupons,
    billing_customers,
    billing_disputes,
    billing_domain_proofs,
    billing_domains,
    billing_endings,
    billing_entitlements,
    billing_invoice_actions,
    billing_invoices,
    billing_money_back,
    billing_new_invoices,
    billing_portal,
    billing_subscriptions,
    billing_usage,
    catalogue,
    checkout,
    checkout_auth_codes,
    document,
    health,
    quotes,
    webhooks,
)


def create_app(settings: Settings, *, strict: bool = False) -> web.Application:
    """Build the application; it starts even while the database is down.

    If `strict`, and in `dev`, a route that breaks its declaration fails with 500.
    """
    tracing = active_tracing()
    middlewares = (
        *((tracing.middleware,) if tracing else ()),
        *MIDDLEWARES,
        *((refuse_undeclared,) if strict or settings.demo else ()),
    )
    app = web.Application(middlewares=middlewares, client_max_size=webhooks.MAX_BODY_BYTES)
    app[keys.SETTINGS] = settings
    app[keys.WEBHOOK_SECRETS] = tuple(
        secret.get_secret_value().encode() for secret in settings.stripe_webhook_secret
    )
    app[keys.PREVIEW_SIGNER] = Signer(app[keys.WEBHOOK_SECRETS], "plan-change-preview")
    announce_shutdown(app)
    if not tracing:  # a span belongs to a request
        app[DIRECT] = DirectWebhooks(app)
    add_headers(app)
    for module in _ROUTES:
        app.add_routes(module.routes)
    app[DOCUMENT] = ApiDocument(app.router, str(settings.app_url))
    if settings.demo:
        app.add_routes(storefront.routes)
    app.on_response_prepare.append(remember_browser)
    app.cleanup_ctx.extend([_connections, _checkout, _rate_limits])
    return app


async def _connections(app: web.Application) -> AsyncIterator[None]:
    """Open the pool and the gateway, and close them at the end."""
    settings = app[keys.SETTINGS]
    app[keys.POOL] = pool = await open_pool(settings)
    app[keys.KEY_RING] = KeyRing(pool, settings)
    app[keys.EVENTS] = EventBatcher(pool)
    app[keys.FIGURES] = FigureReader(pool, partial(list_unmade, settings))
    gateway = open_gateway(settings)
    app[keys.MIRROR] = Mirror(pool, gateway, settings.livemode)
    app[keys.ENTITLEMENTS] = Entitlements(pool, policy_of(settings), settings.livemode)
    async with sampled(pool, "web"), open_drivers(settings) as drivers:
        app[keys.DRIVERS] = drivers
        yield
    await gateway.close()
    await pool.close()


async def _checkout(app: web.Application) -> AsyncIterator[None]:
    """Set up checkout, and listen for changes of orders and of the catalogue."""
    settings = app[keys.SETTINGS]
    terms = PaymentTerms(
        settings.checkout_payment_methods,
        settings.checkout_adaptive_pricing,
        taxed=settings.tax == "automatic",
    )
    changes = SubscriptionChanges()
    kept = KeptCatalogue(app[keys.POOL], livemode=settings.livemode)
    persons = PersonHasher(settings.person_secret)
    reserved = load_reserved_names(
        settings.reserved_domains, (settings.tenant_suffix, settings.app_host)
    )
    app[keys.VAULT] = Vault(settings.encryption_keys)
    codes = AuthCodes(settings.encryption_keys) if settings.encryption_keys else None
    app[keys.CHECKOUT] = Checkout(
        app[keys.MIRROR],
        kept,
        changes,
        terms,
        persons,
        reserved,
        auth_codes=codes,
        promotion_codes=settings.stripe_promotion_codes == "accept",
    )
    app[keys.ORDER_WATCHER] = OrderWatcher(app[keys.CHECKOUT], RefreshLimit(), app[SHUTDOWN])
    app[keys.CATALOGUE] = kept
    async with background(listen(settings.direct_url, (changes, kept))):
        yield


async def _rate_limits(app: web.Application) -> AsyncIterator[None]:
    """Open the rate limiter, and close it at the end."""
    async with open_rate_limiter(app[keys.SETTINGS]) as limiter:
        app[RATE_LIMITER] = limiter
        yield
