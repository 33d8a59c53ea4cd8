"""A stateful stand-in for Stripe Billing, over HTTP, for development and tests.

It serves the API to any Stripe SDK, hosts payment pages, and sends signed webhooks. README.md of
the distribution says how to run it and where it differs from Stripe.
"""

from stripe_sandbox.app import SandboxConfig, create_sandbox_app
from stripe_sandbox.choices import Choices
from stripe_sandbox.outbox import WebhookTarget
from stripe_sandbox.server import Sandbox, running_sandbox, serve_sandbox
from stripe_sandbox.world import Dunning

__all__ = [
    "Choices",
    "Dunning",
    "Sandbox",
    "SandboxConfig",
    "WebhookTarget",
    "create_sandbox_app",
    "running_sandbox",
    "serve_sandbox",
]

__version__ = "0.1.0"
