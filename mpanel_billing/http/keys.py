"""The keys under which routes find the application's parts."""

from collections.abc import Sequence

from aiohttp import web

from mpanel_billing.access.keyring import KeyRing
from mpanel_billing.access.signed import Signer
from mpanel_billing.catalogue.kept import KeptCatalogue
from mpanel_billing.checkout.checkout import Checkout
from mpanel_billing.checkout.order_watcher import OrderWatcher
from mpanel_billing.database.pool import Pool
from mpanel_billing.encryption import Vault
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.drivers.registry import Drivers
from mpanel_billing.settings import Settings
from mpanel_billing.subscriptions.entitlements import Entitlements
from mpanel_billing.telemetry.figures import FigureReader
from mpanel_billing.webhooks.batching import EventBatcher

SETTINGS = web.AppKey("settings", Settings)
POOL = web.AppKey("pool", Pool)
PREVIEW_SIGNER = web.AppKey("preview_signer", Signer)
WEBHOOK_SECRETS: web.AppKey[Sequence[bytes]] = web.AppKey("webhook_secrets")
"""The secrets that Stripe may have signed with; several while one is being rolled."""
ENTITLEMENTS = web.AppKey("entitlements", Entitlements)
EVENTS = web.AppKey("events", EventBatcher)
FIGURES = web.AppKey("figures", FigureReader)
CATALOGUE = web.AppKey("catalogue", KeptCatalogue)
CHECKOUT = web.AppKey("checkout", Checkout)
DRIVERS = web.AppKey("drivers", Drivers)
VAULT = web.AppKey("vault", Vault)
MIRROR = web.AppKey("mirror", Mirror)
KEY_RING = web.AppKey("key_ring", KeyRing)
ORDER_WATCHER = web.AppKey("order_watcher", OrderWatcher)
