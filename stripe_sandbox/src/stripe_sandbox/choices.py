"""Switches: how the sandbox behaves where no documentation says what Stripe does, or both exist."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_type_hints


def _switch(default: str, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True)
class Choices:
    """The way that each switch is set; docs/sandbox.md has the questions.

    `upcoming_invoice_ids`: `invoice.upcoming` carries an id, as newer versions do.
    """

    event_time: Literal["real", "clock"] = _switch(
        "real", "date events on test clocks by real time or by the clock"
    )
    upcoming_invoice_ids: bool = True
    scheduled_items: Literal["change", "refuse"] = _switch(
        "change", "change or refuse items of a subscription with a schedule"
    )
    replaced_discounts: Literal["updated", "created-deleted"] = _switch(
        "updated", "events of a discount that takes the place of another"
    )
    used_up_discounts: Literal["deleted", "silent"] = _switch(
        "deleted", "event of a coupon for one invoice that is used up"
    )
    ended_flag: Literal["kept", "cleared"] = _switch(
        "kept", "cancel_at_period_end of what is canceled at once"
    )
    bank_debits: Literal["days", "at-once"] = _switch(
        "days", "when debits of bank accounts succeed or fail"
    )
    bank_accounts: Literal["verified", "microdeposits"] = _switch(
        "verified", "whether bank accounts that were typed in have to be verified"
    )
    phase_defaults: Literal["subscription", "schedule"] = _switch(
        "subscription",
        "whose payment method and description a phase without its own takes first",
    )


@dataclass(frozen=True)
class Switch:
    """A switch on the command line: its option, its two ways, the default first."""

    name: str
    ways: tuple[str, ...]
    about: str

    @property
    def option(self) -> str:
        """The option's name."""
        return f"--{self.name.replace('_', '-')}"


def _switches() -> tuple[Switch, ...]:
    kinds = get_type_hints(Choices)
    return tuple(
        Switch(one.name, get_args(kinds[one.name]), one.metadata["about"])
        for one in fields(Choices)
        if one.metadata
    )


SWITCHES = _switches()
