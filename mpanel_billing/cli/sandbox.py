"""`mpanel-billing sandbox`: the stand-in for Stripe."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer


def sandbox(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 12111,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    *,
    webhook_url: Annotated[
        str | None, typer.Option(help="Where every event is sent; more can be made by the API.")
    ] = None,
    webhook_secret: Annotated[
        str | None, typer.Option(help="What the events to --webhook-url are signed with.")
    ] = None,
    webhook_event: Annotated[
        list[str] | None, typer.Option(help="Only events of this type are sent; may be repeated.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps everything; none: gone with the process.")
    ] = None,
) -> None:
    """Run a small stateful stand-in for Stripe until Ctrl-C."""
    # Not above: no other command should pay for loading it.
    from stripe_sandbox import SandboxConfig, WebhookTarget, serve_sandbox  # noqa: PLC0415

    if (webhook_url is None) != (webhook_secret is None):
        sys.exit("mpanel-billing: --webhook-url and --webhook-secret go together")
    events = frozenset(webhook_event or ["*"])
    targets = (
        (WebhookTarget(webhook_url, webhook_secret, events),)
        if webhook_url and webhook_secret
        else ()
    )
    config = SandboxConfig(host=host, port=port, webhooks=targets, state_file=state)
    try:
        asyncio.run(serve_sandbox(config))
    except OSError as error:
        sys.exit(f"mpanel-billing: {host}:{port} cannot be used: {error.strerror}; see --port")
