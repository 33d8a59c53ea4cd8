"""The places that each page leads to, and the keys for them: navigation and help say the same."""

from typing import NamedTuple

from mpanel_billing.access.key import Scope


class Place(NamedTuple):
    """A page in the navigation: its text there, and the letter that follows `g`; empty: none."""

    address: str
    name: str
    scope: Scope
    key: str


PLACES = (
    Place("/console/find", "nav.find", "admin:read", ""),  # its key is /
    Place("/console/trouble", "nav.trouble", "admin:read", "t"),
    Place("/console/watch", "nav.watch", "admin:read", "w"),
    Place("/console/debtors", "nav.debtors", "billing:read", "o"),
    Place("/console/trials", "nav.trials", "billing:read", "i"),
    Place("/console/disputes", "nav.disputes", "billing:read", "d"),
    Place("/console/domains", "nav.domains", "admin:read", "n"),
    Place("/console/events", "nav.events", "admin:read", "e"),
    Place("/console/deliveries", "nav.deliveries", "admin:read", "m"),
    Place("/console/servers", "nav.servers", "admin:read", "s"),
    Place("/console/reconcile", "nav.reconcile", "admin:read", "r"),
    Place("/console/health", "nav.health", "admin:read", "h"),
    Place("/console/figures", "nav.figures", "billing:read", "f"),
    Place("/console/coupons", "nav.coupons", "billing:read", "c"),
    Place("/console/catalogue", "nav.catalogue", "admin:read", "p"),
    Place("/console/merges", "nav.merges", "admin:read", "j"),
    Place("/console/audit", "nav.audit", "admin:read", "a"),
    Place("/console/set-up", "nav.set_up", "admin:read", "u"),
)
