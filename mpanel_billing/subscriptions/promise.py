"""The promise that a preview makes: a signed token that pins what was previewed.

It holds for fifteen minutes, for one subscription. It names the change, and has hashes of the
state that the subscription was in and of the sums and prices that were shown. A change with it
is previewed again, and is made only if both are still the same (docs/decisions/0021).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from mpanel_billing.access.signed import ExpiredTokenError, Signer, UnreadableTokenError
from mpanel_billing.errors import ConflictError, InvalidRequestError
from mpanel_billing.subscriptions.item_changes import PlanChange, PlanRequest
from mpanel_billing.subscriptions.preview import ChangePreview
from mpanel_billing.subscriptions.records import Subscription

LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Promise:
    """What was previewed; `at` is the time of the proration by Stripe's clock, None without one.

    `state` and `sums` are hashes. `expired`: it can only find the change that was made with it.
    """

    subscription_id: UUID
    plan: PlanRequest
    at: datetime | None
    state: str
    sums: str
    expired: bool = False


@dataclass(frozen=True, slots=True)
class SignedPromise:
    """The token of a promise, and until when it holds."""

    token: str
    valid_until: datetime


def sign_promise(signer: Signer, promise: Promise) -> SignedPromise:
    """Sign a promise as of now."""
    now = datetime.now(UTC).replace(microsecond=0)
    claims = {
        "subscription": str(promise.subscription_id),
        "plan": asdict(promise.plan),
        "at": int(promise.at.timestamp()) if promise.at else None,
        "state": promise.state,
        "sums": promise.sums,
    }
    return SignedPromise(signer.sign(claims, now=now, lifetime=LIFETIME), now + LIFETIME)


def read_promise(signer: Signer, token: str, subscription_id: UUID) -> Promise:
    """Return the promise in a token; InvalidRequestError if it is not one for this subscription."""
    try:
        promise = _promise(signer.read(token, now=datetime.now(UTC)), expired=False)
    except ExpiredTokenError as error:
        promise = _promise(error.claims, expired=True)
    except UnreadableTokenError:
        raise _not_a_token("is not the previewToken of a preview") from None
    if promise.subscription_id != subscription_id:
        raise _not_a_token("is of another subscription")
    return promise


def _promise(claims: Mapping[str, Any], *, expired: bool) -> Promise:
    plan = claims["plan"]
    codes = plan["addon_codes"]
    return Promise(
        subscription_id=UUID(claims["subscription"]),
        plan=PlanRequest(
            **{
                **plan,
                "addon_codes": None if codes is None else tuple(codes),
                "quantities": tuple((code, n) for code, n in plan.get("quantities", ())),
            }
        ),
        at=datetime.fromtimestamp(claims["at"], UTC) if claims["at"] else None,
        state=claims["state"],
        sums=claims["sums"],
        expired=expired,
    )


def _not_a_token(problem: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"Please preview the change again: the token {problem}.", fields={"previewToken": problem}
    )


def preview_outdated() -> ConflictError:
    """Return the refusal of a change that would not be what was previewed."""
    return ConflictError(
        "The preview is outdated: the subscription, the prices or the amounts have changed."
        " Please preview the change again; nothing was changed.",
        code="preview_outdated",
    )


def hash_state(held: Subscription) -> str:
    """Return a hash of everything of the subscription that decides what a change costs.

    Whether there is a debt is left out: it is paid before the change.
    """
    owing = held.stripe_status in {"past_due", "unpaid"}
    status = "active" if owing else held.stripe_status
    return hash_facts(
        {
            "status": status,
            "items": sorted(
                [
                    [
                        item.stripe_id,
                        item.code,
                        item.unit_amount,
                        item.quantity,
                        item.billing_cycle,
                        item.current_period_end,
                    ]
                    for item in held.items
                ],
                key=str,
            ),
            "discounts": sorted((asdict(one) for one in held.discounts), key=str),
            "period": [held.current_period_start, held.current_period_end],
            "end": [held.trial_end, held.cancel_at_period_end, held.cancel_at],
            "paused": held.collection_paused,
        }
    )


def hash_sums(change: PlanChange, preview: ChangePreview) -> str:
    """Return a hash of the prices and sums of a preview.

    Without the periods of lines: a term that begins with the change begins later than previewed.
    """
    lines = preview.invoice.lines if preview.invoice else ()
    return hash_facts(
        {
            "items": change.items,
            "fees": change.setup_prices,
            "ends_trial": change.ends_trial,
            "currency": preview.currency,
            "sums": [preview.due_now, preview.credited, preview.recurring],
            "effective_at": preview.effective_at,
            "next": preview.next.amount if preview.next else None,
            "lines": [[line.amount, line.proration] for line in lines],
        }
    )


def hash_facts(facts: Mapping[str, Any]) -> str:
    """Return a hash of what was shown."""
    canonical = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
