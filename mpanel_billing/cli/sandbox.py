"""`mpanel-billing sandbox`: the stand-in for Stripe, from the package mpanel-stripe-sandbox."""

import sys
from importlib import import_module

import typer


def sandbox(context: typer.Context) -> None:
    """Run the Stripe sandbox until Ctrl-C; takes the options of `stripe-sandbox`."""
    require_sandbox()
    # Imported here because the package is optional, and no other command needs it.
    from stripe_sandbox.command import main  # noqa: PLC0415

    main(context.args, prog="mpanel-billing sandbox")


def require_sandbox() -> None:
    """If the Stripe sandbox is missing, exit and say how to install it."""
    try:
        import_module("stripe_sandbox")
    except ModuleNotFoundError as error:
        if error.name != "stripe_sandbox":
            raise
        sys.exit(
            "mpanel-billing: the Stripe sandbox is not installed. It is for development only: "
            "run `make setup`, or `pip install ./stripe_sandbox` in a checkout."
        )
