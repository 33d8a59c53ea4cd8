"""The Stripe sandbox as a process: on the port of argv[1], sending webhooks to argv[2].

It listens on 127.0.0.1, or on argv[3]. STRIPE_WEBHOOK_SECRET signs them.

Like `mpanel-billing sandbox`, but with short retry delays.
"""

import asyncio
import logging
import os
import sys

from stripe_sandbox import SandboxConfig, WebhookTarget, running_sandbox

RETRY_SECONDS = (0.1, 0.2, 0.5)
"""Between the attempts of a webhook; the last one repeats."""


async def main(port: int, webhook_url: str, host: str = "127.0.0.1") -> None:
    config = SandboxConfig(
        host=host,
        port=port,
        webhooks=(WebhookTarget(webhook_url, os.environ["STRIPE_WEBHOOK_SECRET"]),),
        retry_delays=RETRY_SECONDS,
    )
    async with running_sandbox(config) as sandbox:
        logging.getLogger("sandbox").warning("listening on %s", sandbox.url)
        await asyncio.Event().wait()


if __name__ == "__main__":
    logging.basicConfig()
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
