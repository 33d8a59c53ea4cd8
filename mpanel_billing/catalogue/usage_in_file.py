"""What is wrong with the usage of add-ons in a catalogue file, beyond its shape."""

from collections.abc import Iterator, Sequence

from mpanel_billing.catalogue.cycles import BILLING_CYCLES
from mpanel_billing.catalogue.line_numbers import Path
from mpanel_billing.catalogue.schema import AddonEntry, CatalogueFile, TierEntry
from mpanel_billing.errors import field_name

LONGEST_TERM_MONTHS = 12
"""Usage is kept for longer than that (KEEP_USAGE_DAYS)."""


def odd_usage(file: CatalogueFile) -> Iterator[tuple[Path, str]]:
    """Yield the path and what is wrong: one meter for each add-on, and tiers in their order."""
    meters: dict[str, Path] = {}
    for index, addon in enumerate(file.addons):
        path: Path = ("addons", index)
        yield from _odd_addon(path, addon, file.currency)
        if addon.usage is None:
            continue
        meter = addon.usage.meter
        if meter in meters:
            said = f"{meter!r} is already the meter of {field_name(meters[meter])}"
            yield (*path, "usage", "meter"), said
        meters.setdefault(meter, path)
        for place, tiers in (("tiers", addon.usage.tiers), *_in_others(addon)):
            yield from _odd_tiers((*path, "usage", *place.split("/")), tiers, addon.usage.included)


def _in_others(addon: AddonEntry) -> Iterator[tuple[str, Sequence[TierEntry]]]:
    if addon.usage:
        for currency, tiers in addon.usage.tiers_in.items():
            yield f"tiers_in/{currency}", tiers


def _odd_addon(path: Path, addon: AddonEntry, currency: str) -> Iterator[tuple[Path, str]]:
    if (addon.usage is None) != bool(addon.prices):
        yield path, "needs either prices or usage"
    if addon.usage and (addon.setup_fee or addon.setup_fee_in):
        yield (*path, "setup_fee"), "an add-on with usage has none"
    if addon.usage and currency in addon.usage.tiers_in:
        said = f"repeats the file's own currency, {currency}"
        yield (*path, "usage", "tiers_in", currency), said
    if addon.usage and addon.prices_in:
        yield (*path, "prices_in"), "an add-on with usage has its prices there: tiers_in"
    for place, cycle in enumerate(addon.usage.terms if addon.usage else ()):
        if BILLING_CYCLES[cycle].months > LONGEST_TERM_MONTHS:
            yield (
                (*path, "usage", "terms", place),
                "must be a year at most",
            )
    if addon.usage and addon.usage.at_limit and addon.usage.limit is None:
        yield (*path, "usage", "at_limit"), "needs a limit"
    if addon.usage and addon.max_quantity > 1:
        yield (*path, "max_quantity"), "must be 1 for an add-on with usage"


def _odd_tiers(path: Path, tiers: Sequence[TierEntry], included: int) -> Iterator[tuple[Path, str]]:
    """Yield what Stripe would refuse: the last tier, and only that, has no end."""
    former = included
    for index, tier in enumerate(tiers):
        is_last = index == len(tiers) - 1
        if (tier.up_to is None) != is_last:
            yield (*path, index), "the last tier has no up_to, all others have one"
        elif tier.up_to is not None and tier.up_to <= former:
            yield (*path, index, "up_to"), f"must be more than {former}, which comes before"
        former = tier.up_to or former
