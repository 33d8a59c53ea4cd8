"""Random histories of subscriptions at Stripe, and what they add to the revenue."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from tests import stripe_objects as made

START = 1_780_000_000
DAY = 86_400
BILLED = {"active", "past_due"}

PRICES: Mapping[str, tuple[int, str, str, int]] = {
    "price_web": (799, "usd", "month", 1),
    "price_shop": (1299, "usd", "month", 1),
    "price_year": (5990, "usd", "year", 1),
    "price_week": (199, "usd", "week", 2),
    "price_free": (0, "usd", "month", 1),
}
COUPONS: Mapping[str, Mapping[str, Any]] = {
    "quarter": {"percent_off": 25, "duration": "forever"},
    "month": {"percent_off": 50, "duration": "repeating"},
    "hundred": {"percent_off": 100, "duration": "repeating"},
    "dollar": {"amount_off": 100, "currency": "usd", "duration": "forever"},
    "once": {"percent_off": 50, "duration": "once"},
}

ITEMS = st.lists(
    st.tuples(st.sampled_from(sorted(PRICES)), st.integers(0, 3)), min_size=1, max_size=3
)
DISCOUNTS = st.lists(
    st.tuples(st.sampled_from(sorted(COUPONS)), st.sampled_from([1, 30, 400])), max_size=2
)
CHANGES = st.fixed_dictionaries(
    {
        "after": st.sampled_from([3, 600, DAY, 30 * DAY]),
        "status": st.sampled_from(["active", "active", "active", "past_due", "unpaid", "paused"]),
        "items": st.none() | ITEMS,
        "discounts": st.none() | st.none() | DISCOUNTS,
    }
)
HISTORIES = st.fixed_dictionaries(
    {
        "began": st.sampled_from(["active", "incomplete", "trialing"]),
        "moved": st.sampled_from([0, 0, 100 * DAY]),
        "items": ITEMS,
        "changes": st.lists(CHANGES, min_size=1, max_size=6),
        "ends": st.booleans(),
    }
)


@dataclass(frozen=True)
class Moment:
    """A subscription from a time on."""

    at: int
    type: str
    about: Mapping[str, Any]


def live(history: Mapping[str, Any], name: str) -> Sequence[Moment]:
    """Return what Stripe tells of a history, in order and no two in one second."""
    at, moved = START, history["moved"]
    about = made.subscription(
        f"sub_{name}", customer=f"cus_{name}", status=history["began"], start=at
    )
    about |= {"created": at, "start_date": at - moved, "discounts": []}
    about["items"] = _listed(name, history["items"])
    told = [Moment(at, "created", about)]
    for number, change in enumerate(history["changes"]):
        at += change["after"]
        about = {**about, "status": change["status"]}
        if change["items"] is not None:
            about["items"] = _listed(name, change["items"])
        if change["discounts"] is not None:
            about["discounts"] = [
                _discount(f"di_{name}_{number}_{place}", coupon, at, days)
                for place, (coupon, days) in enumerate(change["discounts"])
            ]
        told.append(Moment(at, "updated", about))
    if history["ends"]:
        at += 10 * DAY
        about = {**about, "status": "canceled", "ended_at": at, "canceled_at": at}
        told.append(Moment(at, "deleted", about))
    return told


def _listed(name: str, items: Sequence[tuple[str, int]]) -> dict[str, Any]:
    listed = []
    for place, (price, quantity) in enumerate(items):
        amount, currency, interval, count = PRICES[price]
        recurring = {"interval": interval, "interval_count": count}
        terms = {"currency": currency, "unit_amount": amount, "recurring": recurring}
        listed.append(
            {
                "id": f"si_{name}_{place}", "object": "subscription_item", "quantity": quantity,
                "price": {"id": price, "object": "price", "product": f"prod_{price}", **terms},
            }
        )  # fmt: skip
    return {"object": "list", "has_more": False, "data": listed}


def _discount(id_: str, coupon: str, at: int, days: int) -> dict[str, Any]:
    terms = COUPONS[coupon]
    end = at + days * DAY if terms["duration"] == "repeating" else None
    source = {"type": "coupon", "coupon": {"id": coupon, "object": "coupon", **terms}}
    return {"id": id_, "object": "discount", "start": at, "end": end, "source": source}


def event_of(moment: Moment, number: int) -> dict[str, Any]:
    """Return the event about it."""
    return made.event(
        f"customer.subscription.{moment.type}",
        dict(moment.about),
        id_=f"evt_{moment.about['id']}_{number}",
        created=moment.at,
    )


def revenue(about: Mapping[str, Any], at: int) -> Fraction:
    """What a subscription adds a month, in minor units; everything is in one currency."""
    if about["status"] not in BILLED:
        return Fraction(0)
    items = about["items"]["data"]
    terms = {_months(item) for item in items}
    return sum((_of_term(about, at, term, min(terms)) for term in terms), Fraction(0))


def _months(item: Mapping[str, Any]) -> Fraction:
    recurring = item["price"]["recurring"]
    one = {"month": Fraction(1), "year": Fraction(12), "week": Fraction(12, 52)}
    return one[recurring["interval"]] * int(recurring["interval_count"])


def _of_term(about: Mapping[str, Any], at: int, term: Fraction, shortest: Fraction) -> Fraction:
    """What is left of one invoice: each coupon takes its part of the rest, in whole cents."""
    rest = Fraction(
        sum(
            item["price"]["unit_amount"] * item["quantity"]
            for item in about["items"]["data"]
            if _months(item) == term
        )
    )
    for discount in about["discounts"]:
        coupon = discount["source"]["coupon"]
        if coupon["duration"] == "once" or (discount["end"] and discount["end"] <= at):
            continue
        if "percent_off" in coupon:
            exact = rest * coupon["percent_off"] / 100
            rest -= int(exact + Fraction(1, 2))
        elif term == shortest:
            rest -= min(rest, coupon["amount_off"])
    return rest / term


def ledger(moments: Sequence[Moment]) -> Sequence[tuple[int, Fraction]]:
    """Return each change of what it adds, when and to what; it began as in the first event."""
    first = moments[0].about
    steps = [(int(first["start_date"]), first)] if first["status"] in BILLED else []
    steps += [(moment.at, moment.about) for moment in moments]
    values = [
        (at, revenue(about, at))
        for (began, about), until in zip(steps, [*(at for at, _ in steps[1:]), None], strict=True)
        for at in sorted({began, *_ends(about, began, until)})
    ]
    return list(_changes(values))


def _ends(about: Mapping[str, Any], began: int, until: int | None) -> Iterator[int]:
    for discount in about["discounts"]:
        end = discount["end"]
        if end and began < end and (until is None or end < until):
            yield end


def _changes(values: Sequence[tuple[int, Fraction]]) -> Iterator[tuple[int, Fraction]]:
    last = Fraction(0)
    for at, amount in values:
        if amount != last:
            yield at, amount
            last = amount
