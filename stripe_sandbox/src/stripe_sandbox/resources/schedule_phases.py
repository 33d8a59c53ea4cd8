"""Reads the phases of a subscription schedule."""

from stripe_sandbox.billing.automatic_tax import check_prices
from stripe_sandbox.billing.changes import refuse_quantity
from stripe_sandbox.billing.customers import check_owner
from stripe_sandbox.billing.periods import add_interval
from stripe_sandbox.billing.phase_settings import days_until_due, setting_of
from stripe_sandbox.billing.subscription_schedules import make_phase
from stripe_sandbox.billing.taxes import check_behavior, find_rates
from stripe_sandbox.billing.usage import is_metered
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.operations import Call
from stripe_sandbox.resources.prices import named_price
from stripe_sandbox.supported import one_of, supports

PLAIN = ("billing_cycle_anchor", "default_payment_method", "description")
DISCOUNTS = supports("coupon", "discount", "promotion_code")
ITEM = supports("metadata", "plan", "price", "quantity", "tax_rates", discounts=DISCOUNTS)
SETTINGS = supports(
    "collection_method",
    automatic_tax=supports("enabled"),
    invoice_settings=supports("days_until_due"),
)
DEFAULT_SETTINGS = supports("default_payment_method", "description", base=SETTINGS)
PHASE = supports(
    *PLAIN,
    "default_tax_rates",
    "duration",
    "metadata",
    "proration_behavior",
    "trial",
    "trial_end",
    base=SETTINGS,
    add_invoice_items=supports("metadata", "price", "quantity"),
    discounts=DISCOUNTS,
    end_date=one_of(int),
    items=ITEM,
)


def read_phases(call: Call, customer_id: str, start: int) -> list[Document]:
    """Return the given phases, of which the first begins at a Unix time."""
    phases: list[Document] = []
    for index, given in enumerate(call.get("phases")):
        begins = phases[-1]["end_date"] if phases else start
        phases.append(_phase(call, customer_id, given, begins, index))
    if len({phase["currency"] for phase in phases}) > 1:
        raise invalid("All phases of a schedule must use the same currency.", param="phases")
    return phases


def _phase(call: Call, customer_id: str, given: ReadOnly, start: int, index: int) -> Document:
    path = f"phases[{index}]"
    if given.get("start_date") not in {None, start}:
        sentence = (
            "You can not modify the start date of the current phase."
            if index == 0
            else "The start date of a phase must be the end date of the phase before."
        )
        raise invalid(sentence, param=f"{path}[start_date]")
    method = given.get("default_payment_method")
    if method:
        check_owner(call.world, method, customer_id, f"{path}[default_payment_method]")
    items = [_item(call, one, f"{path}[items][{i}]") for i, one in enumerate(given["items"])]
    rates = _rates(call, given, path, "default_tax_rates")
    for item in items:
        check_behavior(item["price"], item["tax_rates"] or rates)
    end = _end(given, items, start, path)
    return make_phase(
        items[0]["price"]["currency"],
        start,
        end,
        items,
        add_invoice_items=[
            _charge(call, one, f"{path}[add_invoice_items][{i}]", items[0]["price"]["currency"])
            for i, one in enumerate(given.get("add_invoice_items") or [])
        ],
        trial_end=_trial_end(given, start, end, path),
        default_tax_rates=rates,
        discounts=_discounts(call, given, f"{path}[discounts]"),
        metadata=given.get("metadata") or {},
        proration_behavior=given.get("proration_behavior") or "create_prorations",
        **read_settings(given),
        **{name: given.get(name) for name in PLAIN},
    )


def read_settings(given: ReadOnly) -> Document:
    """Return the settings in a phase or in `default_settings` as the schedule shows them."""
    settings: Document = {}
    if given.get("automatic_tax"):
        enabled = given["automatic_tax"]["enabled"]
        liability = {"type": "self"} if enabled else None
        settings["automatic_tax"] = {"enabled": enabled, "liability": liability}
    if given.get("collection_method"):
        settings["collection_method"] = given["collection_method"]
    if given.get("invoice_settings"):
        settings["invoice_settings"] = {**given["invoice_settings"], "issuer": {"type": "self"}}
    return settings


def check_settings(call: Call, schedule: ReadOnly) -> None:
    """Raise ApiError for invoices that are sent and never due, and for taxes of two kinds."""
    for index, phase in enumerate(schedule["phases"]):
        sends = setting_of(schedule, phase, "collection_method") == "send_invoice"
        if sends and days_until_due(schedule, phase) is None:
            message = "If collection_method is `send_invoice`, you must specify `days_until_due`."
            raise invalid(message, param=f"phases[{index}][invoice_settings][days_until_due]")
        tax = setting_of(schedule, phase, "automatic_tax") or {"enabled": False}
        if not tax["enabled"]:
            continue
        if phase["default_tax_rates"] or any(item["tax_rates"] for item in phase["items"]):
            raise invalid("You cannot use tax rates together with automatic tax.")
        check_prices(call.world, [call.world.find("price", i["price"]) for i in phase["items"]])


def _item(call: Call, given: ReadOnly, path: str) -> Document:
    price = named_price(call, given, f"{path}[price]")
    if price is None:
        raise missing_param(f"{path}[price]")
    refuse_quantity(price, given)
    return {
        "discounts": _discounts(call, given, f"{path}[discounts]"),
        "metadata": given.get("metadata") or {},
        "price": price,
        "quantity": None if is_metered(price) else given.get("quantity") or 1,
        "tax_rates": _rates(call, given, path, "tax_rates"),
    }


def _charge(call: Call, given: ReadOnly, path: str, currency: str) -> Document:
    """Return what is charged once, when the phase begins."""
    price = named_price(call, given, f"{path}[price]", currency)
    if price is None:
        raise missing_param(f"{path}[price]")
    if price["recurring"]:
        message = (
            "The price specified is set to `type=recurring` but this field only accepts prices "
            "with `type=one_time`."
        )
        raise invalid(message, param=f"{path}[price]")
    return {
        "discountable": True,
        "discounts": [],
        "metadata": given.get("metadata") or {},
        "period": {
            "end": {"timestamp": None, "type": "min_item_period_end"},
            "start": {"timestamp": None, "type": "max_item_period_start"},
        },
        "price": price["id"],
        "quantity": given.get("quantity") or 1,
        "tax_rates": [],
    }


def _trial_end(given: ReadOnly, start: int, end: int, path: str) -> int | None:
    """Return the end of a phase's trial: a date in it, or with `trial` the end of the phase."""
    if given.get("trial") and given.get("trial_end") is not None:
        raise invalid("You may only specify one of trial, trial_end.", param=path)
    if given.get("trial"):
        return end
    until: int | None = given.get("trial_end")
    if until is not None and not start < until <= end:
        message = "The trial of a phase must end in the phase."
        raise invalid(message, param=f"{path}[trial_end]")
    return until


def _rates(call: Call, given: ReadOnly, path: str, name: str) -> list[Document]:
    return find_rates(call.world, given.get(name), f"{path}[{name}]")


def _discounts(call: Call, given: ReadOnly, path: str) -> list[Document]:
    """Return what a phase or an item redeems when it begins; each is known by now."""
    discounts: list[Document] = []
    for index, one in enumerate(given.get("discounts") or []):
        full: Document = {"coupon": None, "discount": None, "promotion_code": None, **one}
        for kind, named in full.items():
            if named is not None:
                call.world.find(kind, named, f"{path}[{index}][{kind}]")
        discounts.append(full)
    return discounts


def _end(given: ReadOnly, items: list[Document], start: int, path: str) -> int:
    """Return the end of a phase: a date, a duration, or one interval of its first price."""
    if given.get("end_date") is not None and given.get("duration") is not None:
        raise invalid("You may only specify one of end_date, duration.", param=path)
    if given.get("end_date") is not None:
        if given["end_date"] <= start:
            raise invalid("A phase must end after it starts.", param=f"{path}[end_date]")
        return int(given["end_date"])
    length = given.get("duration") or items[0]["price"]["recurring"]
    return add_interval(start, length["interval"], length.get("interval_count") or 1)
