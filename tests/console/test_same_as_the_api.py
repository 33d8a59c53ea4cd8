"""What the API can do the console can, under the same scope; what it cannot is named here.

A new route of /api/billing or /api/admin fails this until it has an action, or a reason.
"""

import importlib
from collections.abc import Iterator, Mapping
from pkgutil import iter_modules
from typing import Any

import typer

from mpanel_billing.cli.commands import build_app
from mpanel_billing.console.app import MODULES
from mpanel_billing.console.settling import COMMANDS
from mpanel_billing.http import routes
from mpanel_billing.http.operation import Operation, operation_of

ACTIONS = {name: action for pages in MODULES for name, action in pages.actions.items()}

SUBSCRIPTION = "/api/billing/subscriptions/{id}"
OPERATED = "/api/admin/subscriptions/{id}"
INVOICE = "/api/billing/invoices/{id}"
CUSTOMER = "/api/billing/customers/{id}"
DOMAIN = "/api/billing/domains/{id}"
SERVICE = f"{OPERATED}/services/{{product_type}}"

DONE_BY: Mapping[str, str] = {
    "/api/admin/audit/{id}/settle": "settle_audit",
    "/api/admin/customers/{id}/notes": "note",
    "/api/admin/deleted-subscriptions/{id}/cancel": "cancel_deleted",
    "/api/admin/deleted-subscriptions/{id}/restore": "restore_deleted",
    "/api/admin/events/replay-failed": "replay_failed",
    "/api/admin/events/replay-ignored": "replay_ignored",
    "/api/admin/events/{id}/replay": "replay",
    "/api/admin/prices/{id}/heed": "heed_price",
    "/api/admin/prices/{id}/ignore": "ignore_price",
    "/api/admin/provisioning/retry": "retry_all",
    "/api/admin/reconcile": "reconcile",
    "/api/admin/servers/{name}/drain": "drain",
    "/api/admin/servers/{name}/drained": "all_moved",
    "/api/admin/servers/{name}/fill": "fill",
    f"{OPERATED}/adopt": "adopt",
    f"{OPERATED}/collect-draft": "collect_draft",
    f"{OPERATED}/keep-payment": "keep_payment",
    f"{OPERATED}/lenient": "lenient",
    f"{OPERATED}/lift": "lift",
    f"{OPERATED}/retry": "retry",
    f"{OPERATED}/revive": "revive",
    f"{SERVICE}/move": "move",
    f"{SERVICE}/moved": "moved",
    f"{SERVICE}/skip": "skip",
    f"{SERVICE}/stay": "stay",
    f"{OPERATED}/strict": "strict",
    f"{OPERATED}/suspend": "suspend",
    "/api/billing/balance": "balance",
    f"{CUSTOMER}/link-user": "link_user",
    f"{CUSTOMER}/merge": "merge",
    f"{CUSTOMER}/undo-merge": "undo_merge",
    "/api/billing/disputes/{id}/evidence": "evidence",
    f"{DOMAIN}/auto-renew": "auto_renew",
    f"{DOMAIN}/move": "move_domain",
    f"{DOMAIN}/release": "release_domain",
    f"{DOMAIN}/renew": "renew_domain",
    f"{DOMAIN}/replace": "replace_domain",
    f"{DOMAIN}/transfer-out": "transfer_out",
    f"{DOMAIN}/verify": "verify_domain",
    "/api/billing/invoices": "new_invoice",
    f"{INVOICE}/credit-notes": "credit_note",
    f"{INVOICE}/delete": "delete_invoice",
    f"{INVOICE}/finalize": "finalize_invoice",
    f"{INVOICE}/mark-paid": "mark_paid",
    f"{INVOICE}/mark-uncollectible": "write_off",
    f"{INVOICE}/pay": "pay_invoice",
    f"{INVOICE}/refund": "refund",
    f"{INVOICE}/void": "void_invoice",
    f"{SUBSCRIPTION}/apply-coupon": "apply_coupon",
    f"{SUBSCRIPTION}/cancel": "cancel",
    f"{SUBSCRIPTION}/change-plan": "change_plan",
    f"{SUBSCRIPTION}/charges": "charge",
    f"{SUBSCRIPTION}/charges/{{charge_id}}/withdraw": "withdraw_charge",
    f"{SUBSCRIPTION}/end": "end",
    f"{SUBSCRIPTION}/lift-usage-limit": "lift_usage",
    f"{SUBSCRIPTION}/pause": "pause",
    f"{SUBSCRIPTION}/remove-coupon": "remove_coupon",
    f"{SUBSCRIPTION}/resume": "resume",
    f"{SUBSCRIPTION}/services/{{product_type}}/access-data": "access_data",
    f"{SUBSCRIPTION}/take-offer": "take_offer",
    f"{SUBSCRIPTION}/trial": "extend_trial",
    f"{SUBSCRIPTION}/undo-change": "undo_change",
}
"""The action of the console for each route that changes something."""

NOT_FOR_OPERATORS: Mapping[str, str] = {
    "/api/billing/portal-session": "signs the customer in",
    "/api/billing/usage": "is reported by machines",
}
"""Routes that no operator needs, each with why."""


def changing_routes() -> Iterator[Operation]:
    """Yield the routes at which a key changes something."""
    for module in iter_modules(routes.__path__):
        found = getattr(importlib.import_module(f"{routes.__name__}.{module.name}"), "routes", ())
        for route in found:
            operation = operation_of(route.handler)
            if operation and operation.scope and operation.method != "GET":
                yield operation


def changed() -> Mapping[str, Operation]:
    return {
        one.address: one
        for one in changing_routes()
        if one.address.startswith(("/api/admin/", "/api/billing/"))
        and "/preview-" not in one.address
    }


def test_each_route_has_an_action_or_a_reason_to_have_none() -> None:
    told = [*DONE_BY, *NOT_FOR_OPERATORS]
    assert sorted(told) == sorted(changed())


def test_what_a_kind_of_trouble_names_is_a_command() -> None:
    for words in COMMANDS:
        command: Any = typer.main.get_command(build_app([]))
        for word in words.split():
            assert word in command.commands, words
            command = command.commands[word]


def test_an_action_needs_the_scope_of_its_route() -> None:
    of_api = {address: changed()[address].scope for address in DONE_BY}
    assert {address: ACTIONS[name].scope for address, name in DONE_BY.items()} == of_api


def test_what_is_only_in_the_console_is_named() -> None:
    only_here = {
        *("resend", "end_session", "make_key", "roll_key", "revoke_key"),
        *("retry_domain", "accept_domain", "reject_domain", "try_catalogue"),
    }
    assert ACTIONS.keys() - set(DONE_BY.values()) == only_here
