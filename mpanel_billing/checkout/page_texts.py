"""What Stripe's payment page shows next to its button, in the buyer's language. Pure.

The rest of that page Stripe writes, in the language of the browser.
"""

from collections.abc import Mapping, Sequence

from mpanel_billing.checkout.purchase import Purchase
from mpanel_billing.numbers import write_money

LONGEST = 1200
"""Letters that Stripe takes."""

_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "trial": "Nothing is charged today. When your {days}-day trial ends, you pay {total}.",
        "including": "{total}, including {extras}",
        "discounted": "{total}, with the discount {coupon}",
        "and": " and ",
        "charges": "{count} one-time charges",
        "year": "Each further year of {name} costs {amount}.",
        "years": "Each further year of a domain costs {amount} at most.",
    },
    "de": {
        "trial": "Heute wird nichts abgebucht. Nach {days} Testtagen zahlen Sie {total}.",
        "including": "{total}, darin {extras}",
        "discounted": "{total}, mit dem Rabatt {coupon}",
        "and": " und ",
        "charges": "{count} einmalige Beträge",
        "year": "Jedes weitere Jahr von {name} kostet {amount}.",
        "years": "Jedes weitere Jahr einer Domain kostet höchstens {amount}.",
    },
}


def submit_message(purchase: Purchase) -> str:
    """Return what is charged later; empty if nothing is."""
    trials = _trial(purchase) if purchase.priced.trial_days else [""]
    texts = (
        " ".join(filter(None, (trial, years)))
        for trial in trials
        for years in _further_years(purchase)
    )
    return next((text for text in texts if len(text) <= LONGEST), "")


def _trial(purchase: Purchase) -> Sequence[str]:
    """Return what will be charged when the trial ends, and then the same in short."""
    texts = _TEXTS[purchase.language]
    extras = [line.name for line in purchase.priced.lines if not line.recurring]
    said = (texts["and"].join(extras), texts["charges"].format(count=len(extras)))
    return [_trial_with(purchase, each if extras else "") for each in said]


def _trial_with(purchase: Purchase, extras: str) -> str:
    texts, priced = _TEXTS[purchase.language], purchase.priced
    total = write_money(priced.due_after_trial, priced.currency, purchase.language)
    if extras:
        total = texts["including"].format(total=total, extras=extras)
    if priced.coupon:
        total = texts["discounted"].format(total=total, coupon=priced.coupon.name)
    return texts["trial"].format(days=priced.trial_days, total=total)


def _further_years(purchase: Purchase) -> Sequence[str]:
    """Return what further years of the domains cost, and then the same in short."""
    texts, priced = _TEXTS[purchase.language], purchase.priced
    costs = {each.unicode: each.renewal for each in priced.domains if each.renewal is not None}
    written = {
        name: write_money(amount, priced.currency, purchase.language)
        for name, amount in costs.items()
    }
    if not costs:
        return [""]
    highest = max(costs, key=lambda name: costs[name])
    return [
        " ".join(texts["year"].format(name=name, amount=written[name]) for name in costs),
        texts["years"].format(amount=written[highest]),
    ]
