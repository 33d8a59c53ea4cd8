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
    cardless_trial_end: Literal["settings", "invoice"] = _switch(
        "settings",
        "what ends a trial at once without a payment method: its settings, or an open invoice",
    )
    cardless_trial_setup: Literal["pending", "none"] = _switch(
        "pending",
        "whether a trial without a payment method has a setup intent",
    )
    item_discounts: Literal["both", "item"] = _switch(
        "both",
        "whether the discount of an item names its subscription too",
    )
    deleted_coupons: Literal["kept", "stub"] = _switch(
        "kept",
        "what a deleted coupon is when a discount is expanded",
    )
    classic_discounts: Literal["debit", "present"] = _switch(
        "debit",
        "which discounts classic billing credits: those of the last debit, or the present ones",
    )
    amount_off_upgrades: Literal["share", "none"] = _switch(
        "share",
        "what an amount off takes from the debit of an upgrade",
    )
    credit_balance: Literal["positive", "negative"] = _switch(
        "positive",
        "the sign of a credit in invoice_credit_balance",
    )
    checkout_minimum: Literal["refuse", "balance"] = _switch(
        "refuse",
        "what Checkout does with a subscription below the minimum charge",
    )
    repeated_prices: Literal["refuse", "items"] = _switch(
        "refuse",
        "whether Checkout takes a recurring price twice",
    )
    schedule_end: Literal["released", "completed"] = _switch(
        "released",
        "what a schedule becomes after its last phase",
    )
    ended_schedule: Literal["kept", "cleared"] = _switch(
        "kept",
        "whether a subscription that has ended names its schedule",
    )
    schedule_first_invoice: Literal["draft", "finalized"] = _switch(
        "draft",
        "the first invoice of a schedule's subscription",
    )
    phase_tax_rates: Literal["cleared", "kept"] = _switch(
        "cleared",
        "default tax rates of a subscription in a phase without any",
    )
    phase_invoice: Literal["at-once", "draft"] = _switch(
        "at-once",
        "the invoice of a phase that begins a period",
    )
    subscription_lines: Literal["fixed", "editable"] = _switch(
        "fixed",
        "amount, price and quantity of a subscription's line on a draft, and its removal",
    )
    phase_charges: Literal["next", "own"] = _switch(
        "next",
        "on which invoice a phase charges once if it makes none",
    )
    paused_phases: Literal["applied", "wait"] = _switch(
        "applied",
        "a phase that is due while its subscription is paused",
    )
    paused_schedule_end: Literal["after-pause", "at-end"] = _switch(
        "after-pause",
        "when a schedule ends whose last phase ends before a pause that it has planned",
    )
    sent_first_invoice: Literal["draft", "finalized"] = _switch(
        "draft",
        "the first invoice of a send_invoice subscription",
    )
    free_anchor: Literal["none", "zero"] = _switch(
        "none",
        "the first invoice of a subscription that is free until its anchor",
    )
    anchor_line: Literal["item", "proration"] = _switch(
        "item",
        "the time before a later anchor on the first invoice",
    )
    backdated_term: Literal["full", "surrounding"] = _switch(
        "full",
        "the first period of a backdated subscription: a full one, or that which surrounds now",
    )
    metered_first_line: Literal["zero", "none"] = _switch(
        "zero",
        "the line of a metered item on a first invoice",
    )
    volume_fees: Literal["line", "included"] = _switch(
        "line",
        "the flat fee of a tier of a volume price: a line of its own, or in that of the units",
    )
    interval_usage: Literal["dropped", "billed"] = _switch(
        "dropped",
        "what was used before a metered item changes to another interval",
    )
    bad_usage: Literal["refuse", "accept"] = _switch(
        "refuse",
        "whether a meter event that cannot be counted is refused at once",
    )
    expand_data: Literal["counts", "free"] = _switch(
        "counts",
        "whether data is one of the four levels of expand",
    )
    listed_events: Literal["at-once", "later"] = _switch(
        "at-once",
        "how soon an event is listed: at once, or after a minute",
    )
    pending_changes: Literal["replace", "refuse"] = _switch(
        "replace",
        "another change of items while an update is pending",
    )
    unchanged_resume: Literal["prorated", "free"] = _switch(
        "prorated",
        "the rest of the period when a subscription resumes with its old anchor",
    )
    resumption_attempt: Literal["at-once", "none"] = _switch(
        "at-once",
        "whether resume_on_payment_success attempts the payment in the request",
    )
    plain_resume: Literal["at-once", "waits"] = _switch(
        "at-once",
        "whether resume_on_payment_attempt resumes in the request or with the first attempt",
    )
    failed_pause: Literal["no-credit", "credit"] = _switch(
        "no-credit",
        "what a pause after the last failed payment credits",
    )
    detached_default: Literal["cleared", "kept"] = _switch(
        "cleared",
        "a default payment method that is detached",
    )
    failed_authentication: Literal["invoice", "intent"] = _switch(
        "invoice",
        "whose event a failed 3D Secure of an invoice's intent is",
    )
    failed_refunds: Literal["restored", "kept"] = _switch(
        "restored",
        "amount_refunded of a charge whose refund fails",
    )
    amount_notes: Literal["custom-line", "proportional"] = _switch(
        "custom-line",
        "the lines of a credit note that has an amount alone",
    )
    covered_intents: Literal["canceled", "open"] = _switch(
        "canceled",
        "the payment intent of an invoice that an attached payment has paid",
    )
    charge_transactions: Literal["at-once", "later"] = _switch(
        "at-once",
        "when a charge has its balance transaction",
    )
    debit_first_payment: Literal["active", "incomplete"] = _switch(
        "active",
        "a subscription whose first payment is a bank debit under way",
    )
    delayed_order_invoice: Literal["order", "settled"] = _switch(
        "order",
        "when a session with invoice_creation and a bank debit makes its invoice",
    )
    debit_retries: Literal["schedule", "none"] = _switch(
        "schedule",
        "retries of a failed bank debit",
    )
    meter_event_time: Literal["clock", "real"] = _switch(
        "clock",
        "the time that a meter event of a customer on a test clock is compared with",
    )
    unpriced_tax: Literal["taxed", "refuse"] = _switch(
        "taxed",
        "an amount without a price on an invoice with automatic tax",
    )
    zero_taxes: Literal["named", "none"] = _switch(
        "named",
        "whether a tax that nobody owes is on an invoice",
    )
    unknown_tax_ids: Literal["unavailable", "none"] = _switch(
        "unavailable",
        "the verification of a tax id that no database knows",
    )
    other_tax_ids: Literal["verified", "unverified"] = _switch(
        "verified",
        "what comes of a tax id that is none of Stripe's test values",
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
