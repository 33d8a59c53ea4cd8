"""The part of `param_scenes` about subscription schedules."""

from typing import Any

from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.param_cases import Scene, case, scene

PHASE = {"items": [{"price": "$monthly"}, {"price": "$extra"}]}
SOLD = {"items": [{"price": "$monthly"}]}

SENT = {"collection_method": "send_invoice", "invoice_settings": {"days_until_due": 5}}
VALUES = {
    "automatic_tax.enabled": (),
    "billing_cycle_anchor": ("phase_start",),
    "default_payment_method": (),
    "default_tax_rates": (),
    "description": (),
    "discounts.coupon": (),
    "discounts.discount": ("$subscription_discount",),
    "discounts.promotion_code": (),
    "duration.interval": (),
    "duration.interval_count": (),
    "end_date": (START + 90 * DAY,),
    "metadata": (),
    "proration_behavior": (),
    "trial": (),
}
OF_ITEMS = {
    "discounts.coupon": (),
    "discounts.discount": ("$subscription_discount",),
    "discounts.promotion_code": (),
    "metadata": (),
    "price": (),
    "quantity": (),
    "tax_rates": (),
}


def _phases(index: str, phases: list[dict[str, Any]]) -> dict[str, Scene]:
    """Return the cases of a phase and of its items; `index` is its place."""
    named = {**VALUES, **{f"items.{name}": values for name, values in OF_ITEMS.items()}}
    place = int(index)
    charging = [
        {**one, "add_invoice_items": [{"price": "$domain"}]} if number == place else one
        for number, one in enumerate(phases)
    ]
    sent = [{**one, **SENT} if number == place else one for number, one in enumerate(phases)]
    trial_end = START + (10 if place == 0 else 40) * DAY
    return {
        **{
            f"phases.{name}": case(*values, index=index, phases=phases)
            for name, values in named.items()
        },
        "phases.trial_end": case(trial_end, trial_end + DAY, index=index, phases=phases),
        "phases.add_invoice_items.price": case("$domain", "$setup", index=index, phases=charging),
        "phases.add_invoice_items.metadata": case(index=index, phases=charging),
        "phases.add_invoice_items.quantity": case(1, 2, index=index, phases=charging),
        "phases.collection_method": case(index=index, phases=sent),
        "phases.invoice_settings.days_until_due": case(10, 11, index=index, phases=sent),
    }


DEFAULTS: dict[str, Scene] = {
    "default_settings.collection_method": case(default_settings=SENT),
    "default_settings.invoice_settings.days_until_due": case(10, 11, default_settings=SENT),
}
LATER = {"type": "timestamp", "timestamp": START + DAY}


def _pauses() -> dict[str, Scene]:
    """Return the cases of a pause, and of its end."""
    begins, now = {"pause": {"pause_at": LATER}}, {"pause": {"pause_at": {"type": "now"}}}
    ends = {**now, "resume": {"resume_at": {**LATER, "duration": {"interval": "week"}}}}
    lasts = {**now, "resume": {"resume_at": {"type": "duration", "duration": {"interval": "day"}}}}
    moments = (START + 2 * DAY, START + 3 * DAY)
    return {
        f"pause_schedules.{name}": case(*values, pause_schedules=[entry])
        for name, entry, values in (
            ("key", begins, ()),
            ("pause.pause_at.timestamp", begins, moments),
            ("pause.pause_at.type", begins, ()),
            ("pause.settings.invoicing_behavior", begins, ()),
            ("pause.settings.bill_for.outstanding_usage_through.type", begins, ()),
            ("pause.settings.bill_for.unused_time_from.type", begins, ()),
            ("resume.resume_at.timestamp", ends, moments),
            ("resume.resume_at.type", ends, ()),
            ("resume.resume_at.duration.interval", lasts, ()),
            ("resume.resume_at.duration.interval_count", lasts, (2, 3)),
            ("resume.settings.billing_cycle_anchor", ends, ()),
            ("resume.settings.payment_behavior", ends, ()),
            ("resume.settings.proration_behavior", ends, ()),
        )
    }


SCHEDULES: dict[str, Scene] = {
    "POST /subscription_schedules": scene(
        customer="$customer",
        start_date="now",
        phases=[SOLD],
        cases={
            **_phases("0", [SOLD]),
            **DEFAULTS,
            **_pauses(),
            "customer": case("$customer", "$poor"),
            "from_subscription": case(
                "$subscription", "$trial", customer=None, start_date=None, phases=None
            ),
            "phases.items.plan": case(phases=[{"items": [{"quantity": 1}]}]),
            "start_date": case(START + DAY, "now"),
        },
    ),
    "POST /subscription_schedules/{id}": scene(
        "schedule",
        cases={
            "end_behavior": case(phases=[PHASE]),
            **_phases("1", [PHASE, PHASE]),
            **DEFAULTS,
            **_pauses(),
            "phases.items.plan": case(index="1", phases=[PHASE, {"items": [{"quantity": 1}]}]),
            "phases.start_date": case(
                START + 30 * DAY,
                refused=(START + 31 * DAY,),
                index="1",
                phases=[{**PHASE, "end_date": START + 30 * DAY}, PHASE],
            ),
            "proration_behavior": case(
                phases=[{"items": [{"price": "$bigger"}, {"price": "$extra"}]}]
            ),
        },
    ),
    "POST /subscription_schedules/{id}/release": scene("ending"),
    "POST /subscription_schedules/{id}/cancel": scene("schedule"),
}
