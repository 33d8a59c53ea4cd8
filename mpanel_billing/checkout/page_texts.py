"""What Stripe's payment page shows next to its button, in the buyer's language. Pure.

The rest of that page Stripe writes, in the language of the browser.
"""

from collections.abc import Mapping

from mpanel_billing.checkout.purchase import Purchase
from mpanel_billing.numbers import write_money

LONGEST = 1200
"""Letters that Stripe takes."""

_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "trial": "Nothing is charged today. When your {days}-day trial ends, you pay {total}.",
        "including": "{total}, including {extras}",
        "less": "{total}, less {coupon}",
        "and": " and ",
        "charges": "{count} one-time charges",
        "year": "Each further year of {name} costs {amount}.",
        "years": "Each further year of a domain costs {amount} at most.",
    },
    "de": {
        "trial": "Heute wird nichts abgebucht. Nach {days} Testtagen zahlen Sie {total}.",
        "including": "{total}, darin {extras}",
        "less": "{total}, abzüglich {coupon}",
        "and": " und ",
        "charges": "{count} einmalige Beträge",
        "year": "Jedes weitere Jahr von {name} kostet {amount}.",
        "years": "Jedes weitere Jahr einer Domain kostet höchstens {amount}.",
    },
}


def submit_message(purchase: Purchase) -> str:
    """Return what is charged later; empty if nothing is."""
    trial = trial_message(purchase) if purchase.priced.trial_days else ""
    return " ".join(filter(None, (trial, _further_years(purchase, LONGEST - len(trial)))))


def trial_message(purchase: Purchase) -> str:
    """Return what will be charged when the trial ends."""
    texts = _TEXTS[purchase.language]
    extras = [line.name for line in purchase.priced.lines if not line.recurring]
    message = _trial_with(purchase, texts["and"].join(extras))
    if len(message) > LONGEST:
        return _trial_with(purchase, texts["charges"].format(count=len(extras)))
    return message


def _trial_with(purchase: Purchase, extras: str) -> str:
    texts, priced = _TEXTS[purchase.language], purchase.priced
    total = write_money(priced.due_after_trial, priced.currency, purchase.language)
    if extras:
        total = texts["including"].format(total=total, extras=extras)
    if priced.coupon:
        total = texts["less"].format(total=total, coupon=priced.coupon.name)
    return texts["trial"].format(days=priced.trial_days, total=total)


def _further_years(purchase: Purchase, most: int) -> str:
    """Return what further years of the domains cost, in fewer than `most` letters."""
    texts, priced = _TEXTS[purchase.language], purchase.priced
    costs = {each.unicode: each.renewal for each in priced.domains if each.renewal is not None}
    written = {
        name: write_money(amount, priced.currency, purchase.language)
        for name, amount in costs.items()
    }
    text = " ".join(
        texts["year"].format(name=name, amount=amount) for name, amount in written.items()
    )
    if len(text) < most:
        return text
    highest = max(costs, key=lambda name: costs[name])
    return texts["years"].format(amount=written[highest])
