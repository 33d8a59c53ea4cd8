"""A stateful stand-in for Stripe, so that everything runs and is tested without an account.

It speaks HTTP to the Stripe SDK, shows hosted payment pages, and sends signed webhooks. It knows
nothing of the service that uses it.

Where it differs from Stripe, knowingly:

- Params that Stripe takes and the sandbox does not act on are refused, never overlooked.
- Checkout sells subscriptions only, always asks for a card anew (no saved cards), and declined
  attempts at its page leave no trace.
- Cards are the only payment method and settle at once; taxes, shipping, metered and tiered prices,
  credit notes, disputes and connected accounts do not exist.
- Prorations ignore discounts.
- A test clock has advanced when the request to advance it is answered.
- Renewal invoices finalize after an hour, whether or not `invoice.created` was acknowledged.
- Events are dated by the test clock of their object.
- The time of all that lives by no test clock can be moved forwards too (`POST /_sandbox/clock`).
"""

from stripe_sandbox.app import SandboxConfig, create_sandbox_app
from stripe_sandbox.outbox import WebhookTarget
from stripe_sandbox.server import Sandbox, running_sandbox, serve_sandbox
from stripe_sandbox.world import Dunning

__all__ = [
    "Dunning",
    "Sandbox",
    "SandboxConfig",
    "WebhookTarget",
    "create_sandbox_app",
    "running_sandbox",
    "serve_sandbox",
]

__version__ = "0.1.0"
