"""What settles a line of trouble: the actions that its kind begins with, or the page for it."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode


class Way(NamedTuple):
    """An action that settles a line: `of` is the column with the id that its address takes.

    `asks` is the field of its query that gets the line's object.
    """

    action: str
    of: str = "object_id"
    asks: str | None = None
    is_dangerous: bool = False


_RETRY = Way("retry", "subscription_id")
_STAY = Way("stay", "subscription_id", "service")
_COLLECT = Way("collect_draft", "subscription_id")

_WAYS: Mapping[str, Sequence[Way]] = {
    **dict.fromkeys(
        ("not_provisioned", "service_missing", "active_after_end", "work_failed"), (_RETRY,)
    ),
    "provisioning_failed": (_RETRY, Way("skip", "subscription_id", "service")),
    **dict.fromkeys(("nothing_owed", "finalization_failed", "draft_left"), (_COLLECT,)),
    "paid_after_end": (Way("revive", "subscription_id"), Way("keep_payment", "subscription_id")),
    "row_deleted": (Way("restore_deleted"), Way("cancel_deleted", is_dangerous=True)),
    "item_unplaced": (Way("ignore_price"),),
    "request_unfinished": (Way("settle_audit"),),
    "move_failed": (_RETRY, _STAY),
    "move_waits": (Way("moved", "subscription_id", "service"), _STAY),
    **dict.fromkeys(("server_left", "server_failing"), (Way("drain"),)),
    "event_failed": (Way("replay"),),
    "not_delivered": (Way("resend"),),
    "domain_unproven": (
        Way("verify_domain", "domain_id"),
        Way("accept_domain", "domain_id"),
        Way("reject_domain", "domain_id", is_dangerous=True),
    ),
    **dict.fromkeys(("domain_stuck", "domain_not_refunded"), (Way("retry_domain", "domain_id"),)),
    **dict.fromkeys(("dispute_unanswered", "dispute_due"), (Way("evidence"),)),
    "fraud_warning": (Way("refund", "invoice_id"),),
    "paid_twice": (Way("end", "subscription_id", is_dangerous=True),),
    "trial_twice": (Way("cancel", "subscription_id", is_dangerous=True),),
}
"""What a kind of trouble begins with; the others have a page, or a command."""

COMMANDS: Mapping[str, str] = {
    "audit settle": "settle_audit",
    "deleted cancel": "cancel_deleted",
    "deleted restore": "restore_deleted",
    "deliveries resend": "resend",
    "disputes evidence": "evidence",
    "domains accept": "accept_domain",
    "domains retry": "retry_domain",
    "domains reject": "reject_domain",
    "domains verify": "verify_domain",
    "events replay": "replay",
    "provision collect-draft": "collect_draft",
    "provision drain": "drain",
    "provision ignore-price": "ignore_price",
    "provision keep-payment": "keep_payment",
    "provision moved": "moved",
    "provision retry": "retry",
    "provision revive": "revive",
    "provision skip": "skip",
    "provision stay": "stay",
}
"""The action that does what a command does, which the registry of trouble names."""

_COMMAND = re.compile(
    rf"\b({'|'.join(map(re.escape, COMMANDS))})\b(?: (?:with|mit) --\S+ (?:or|oder) --\S+)?"
)
_OBJECT = re.compile(r"(^|[.:] )?\bobject_id\b")

SEEN_AT: Mapping[str, str] = {
    **dict.fromkeys(("server_left", "server_failing", "move_failed", "move_waits"), "servers"),
    "drift": "reconcile",
}
"""The page on which a kind of trouble is settled, by its name in the navigation."""


class Offer(NamedTuple):
    """An action for a line: its name, the id in its address, and the query behind that."""

    action: str
    id: Any
    query: str
    is_dangerous: bool


def ways_of(kind: str) -> Sequence[str]:
    """Return the names of the actions that settle a kind of trouble."""
    return [way.action for way in _WAYS.get(kind, ())]


def as_on_pages(text: str, button: Callable[[str], str]) -> str:
    """Return what the registry says for psql and the command line, as a page says it.

    Commands are buttons here, which `button` names, and `object_id` is a column with another head.
    """
    said = _COMMAND.sub(lambda found: button(COMMANDS[found[1]]), text)
    return _OBJECT.sub(
        lambda found: "the object" if found[1] is None else f"{found[1]}The object", said
    )


def offers_of(line: Mapping[str, Any]) -> Sequence[Offer]:
    """Return the actions for a line of trouble; none without the id that they need."""
    return [
        Offer(
            way.action,
            line[way.of],
            f"?{urlencode({way.asks: line['object_id']})}" if way.asks else "",
            way.is_dangerous,
        )
        for way in _WAYS.get(line["trouble"], ())
        if line[way.of]
    ]
