"""The Stripe sandbox as a process that keeps its state in a file, so that it may be killed.

Arguments: port, state file, and the base of the webhook addresses. As one address gets its
events one after the other, there are several, each for its own types of events.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from mpanel_billing.mirror.types import EVENT_TYPES
from stripe_sandbox import SandboxConfig, WebhookTarget
from stripe_sandbox.server import serve_sandbox
from tests.service import WEBHOOK_SECRET

RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Between the attempts of a webhook; the last one repeats."""
STREAMS = 12


def targets(base: str) -> Iterator[WebhookTarget]:
    """Yield the addresses."""
    types = sorted(EVENT_TYPES)
    for number in range(STREAMS):
        yield WebhookTarget(f"{base}/{number}", WEBHOOK_SECRET, frozenset(types[number::STREAMS]))


async def main(port: str, state: str, base: str) -> None:
    await serve_sandbox(
        SandboxConfig(
            port=int(port),
            state_file=Path(state),
            webhooks=tuple(targets(base)),
            retry_delays=RETRY_SECONDS,
        )
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
