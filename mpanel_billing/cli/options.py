"""Arguments and options that several commands have."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from mpanel_billing.access.audit import Actor, command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.database.pool import Pool
from mpanel_billing.money import LARGEST_AMOUNT
from mpanel_billing.provisioning import operations

T = TypeVar("T")


def _stripped(text: str) -> str:
    if not text.strip():
        raise typer.BadParameter("must not be empty")
    return text.strip()


def _stripped_if_given(text: str | None) -> str | None:
    return None if text is None else _stripped(text)


def minor_units(text: str) -> int:
    """Read an amount; one with a decimal point is in another unit, and BadParameter."""
    amount = most_minor_units(text)
    if not 0 < amount <= LARGEST_AMOUNT:
        raise typer.BadParameter(f"must be from 1 to {LARGEST_AMOUNT} minor units")
    return amount


def most_minor_units(text: str) -> int:
    """Read an amount that is a limit."""
    if not (text.isascii() and text.isdecimal()):
        raise typer.BadParameter("must be a whole number of minor units: 500 is $5.00")
    return int(text)


Subscription = Annotated[str, typer.Argument(help="Our id, or Stripe's (sub_...).")]
Reason = Annotated[str, typer.Option(help="Why, for the record.", callback=_stripped)]
OptionalReason = Annotated[
    str | None,
    typer.Option(
        "--reason", help="Why, for the record and for Stripe.", callback=_stripped_if_given
    ),
]
Evidence = Annotated[
    str, typer.Option("--reason", help="How you found out, for the record.", callback=_stripped)
]
Operator = Annotated[
    str, typer.Option("--by", envvar=["SUDO_USER", "USER"], help="The operator, for the record.")
]


def of_subscription(name: str, do: Callable[[Pool, UUID], Awaitable[T]]) -> T:
    """Run a function for the subscription with this id, ours or Stripe's; NotFoundError."""

    async def run(pool: Pool) -> T:
        return await do(pool, await operations.find_subscription(pool, name))

    return with_pool(run)


def change_subscription(name: str, do: Callable[[Pool, UUID, Actor], Awaitable[T]]) -> T:
    """Run an action that is recorded in the audit log; NotFoundError."""
    by = command_line_actor()
    return of_subscription(name, lambda pool, id_: do(pool, id_, by))
