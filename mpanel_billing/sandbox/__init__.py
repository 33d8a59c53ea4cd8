"""A stateful stand-in for Stripe, so that everything runs and is tested without an account.

It speaks HTTP to the Stripe SDK, shows hosted payment pages, and sends signed webhooks. It knows
nothing of the service that uses it.
"""

from mpanel_billing.sandbox.app import create_sandbox_app
from mpanel_billing.sandbox.config import Dunning, SandboxConfig, WebhookTarget
from mpanel_billing.sandbox.server import Sandbox, running_sandbox, serve_sandbox

__all__ = [
    "Dunning",
    "Sandbox",
    "SandboxConfig",
    "WebhookTarget",
    "create_sandbox_app",
    "running_sandbox",
    "serve_sandbox",
]
