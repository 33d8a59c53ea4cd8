"""The terms of a new subscription: its items, its trial, when its periods begin and end."""

from fractions import Fraction
from typing import Any

from stripe_sandbox.billing.amounts import amount_of
from stripe_sandbox.billing.changes import refuse_quantity
from stripe_sandbox.billing.lines import NewInvoiceItem, describe_term
from stripe_sandbox.billing.periods import DAY, Period, next_occurrence, periods_in
from stripe_sandbox.billing.subscriptions import NewSubscription, PricedItem
from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.operations import Call
from stripe_sandbox.resources.prices import named_price
from stripe_sandbox.resources.subscription_updates import (
    chosen_payment_method,
    refuse_past,
)


def required(call: Call, name: str) -> Any:
    """Return a param; raises ApiError if it is missing."""
    value = call.get(name)
    if value is None:
        raise missing_param(name)
    return value


def terms_of(call: Call, customer: ReadOnly) -> NewSubscription:
    """Return the terms in the params; raises ApiError for those that do not go together."""
    now, until = call.world.time_of(customer), call.get("cancel_at")
    config = call.get("billing_cycle_anchor_config")
    behavior = call.get("trial_settings", {}).get("end_behavior") or {}
    return NewSubscription(
        customer=customer,
        items=[_priced_item(call, one, index) for index, one in enumerate(required(call, "items"))],
        trial_end=_trial_end(call, now),
        billing_cycle_anchor=_billing_cycle_anchor(call, now),
        metadata=call.get("metadata", {}),
        description=call.get("description"),
        default_payment_method=chosen_payment_method(call, customer["id"]),
        missing_payment_method=behavior.get("missing_payment_method", "create_invoice"),
        cancel_at=until if isinstance(until, int) else None,
        cancel_at_period_end=call.get("cancel_at_period_end", False),
        billing_mode=call.get("billing_mode", {}).get("type", "flexible"),
        start_date=_start_date(call, now),
        anchor_config=dict(config) if config else None,
    )


def _trial_end(call: Call, now: int) -> int | None:
    end, days = call.get("trial_end"), call.get("trial_period_days")
    if end is not None and days is not None:
        raise invalid("You may only specify one of trial_end, trial_period_days.")
    if isinstance(end, int):
        return end
    return now + days * DAY if days else None


def _billing_cycle_anchor(call: Call, now: int) -> int | None:
    """Return the end of a first period that is shorter than an interval, if one is wanted."""
    anchor: int | None = call.get("billing_cycle_anchor")
    config = call.get("billing_cycle_anchor_config")
    if anchor is not None and config:
        raise invalid(
            "You may only specify one of these parameters: billing_cycle_anchor, "
            "billing_cycle_anchor_config."
        )
    param = "billing_cycle_anchor_config" if config else "billing_cycle_anchor"
    if config:
        _check_config(call, config)
        anchor = next_occurrence(config, now)
    if anchor is None:
        return None
    refuse_past(anchor, now, param)
    if call.get("trial_end") or call.get("trial_period_days"):
        message = f"The sandbox supports {param} only without a trial."
        raise invalid(message, param=param)
    return anchor


def _check_config(call: Call, config: ReadOnly) -> None:
    """Raise ApiError for a day that does not exist, or prices by the day or week."""
    bounds = {"day_of_month": 31, "hour": 23, "minute": 59, "month": 12, "second": 59}
    for name, most in bounds.items():
        least = 1 if name in {"day_of_month", "month"} else 0
        if config.get(name) is not None and not least <= config[name] <= most:
            message = f"Invalid {name}: must be between {least} and {most}."
            raise invalid(message, param=f"billing_cycle_anchor_config[{name}]")
    for index, given in enumerate(required(call, "items")):
        price = call.world.store.peek("price", str(given.get("price")))
        if price and price["recurring"] and price["recurring"]["interval"] in {"day", "week"}:
            message = "billing_cycle_anchor_config is only valid with monthly and yearly prices."
            raise invalid(message, param=f"items[{index}][price]")


def _start_date(call: Call, now: int) -> int | None:
    start: int | None = call.get("backdate_start_date")
    if start is not None and start > now:
        message = "The `backdate_start_date` has to be in the past."
        raise invalid(message, param="backdate_start_date")
    return start


def backdated_charges(call: Call, subscription: ReadOnly) -> list[NewInvoiceItem]:
    """Return what the time from `backdate_start_date` to the first period costs, by item."""
    if call.get("proration_behavior") == "none":
        return []
    start, items = subscription["start_date"], subscription["items"]["data"]
    charges = (_backdated(call, subscription, item, start) for item in items)
    return [one for one in charges if one.period.start < one.period.end]


def _backdated(call: Call, subscription: ReadOnly, item: ReadOnly, start: int) -> NewInvoiceItem:
    price, quantity = item["price"], item["quantity"] or 0
    span = Period(start, item["current_period_start"])
    return NewInvoiceItem(
        amount=int(amount_of(price, quantity) * periods_in(price, span) + Fraction(1, 2)),
        currency=subscription["currency"],
        description=describe_term(call.world, price, quantity),
        period=span,
        price=price,
        quantity=quantity,
        proration=True,
        subscription=subscription["id"],
        subscription_item=item["id"],
    )


def _priced_item(call: Call, given: ReadOnly, index: int) -> PricedItem:
    price = named_price(call, given, f"items[{index}][price]", call.get("currency"))
    if price is None:
        raise missing_param(f"items[{index}][price]")
    refuse_quantity(price, given)
    return PricedItem(price, given.get("quantity", 1), given.get("metadata") or {})
