"""/api/admin/provisioning and /subscriptions: `mpanel-billing provision` over HTTP."""

from mpanel_billing.errors import ConflictError, NotFoundError, PaymentFailedError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.operation import Refusals
from mpanel_billing.http.paths import PricePath, ServicePath, SubscriptionPath
from mpanel_billing.http.schemas.base import PageOfIdsQuery
from mpanel_billing.http.schemas.provisioning import (
    AdoptRequest,
    CollectedDraftResponse,
    EndLeniencyRequest,
    HoldSchema,
    IgnorePriceRequest,
    KeepPaymentRequest,
    KeptPaymentSchema,
    KeptPaymentsResponse,
    LeniencyRequest,
    LeniencySchema,
    PriceDoneResponse,
    RetriedResponse,
    RevivedResponse,
    ReviveRequest,
    ServiceSchema,
    StuckResponse,
    StuckSubscriptionSchema,
    SubscriptionDoneResponse,
    SuspendRequest,
    TimelineEntrySchema,
    TimelineResponse,
)
from mpanel_billing.http.subscriptions import subscription_of
from mpanel_billing.provisioning import leniency, operations
from mpanel_billing.provisioning.late_payments import keep_payments
from mpanel_billing.subscriptions.drafts import collect_draft
from mpanel_billing.subscriptions.lifecycle import ChangeRequest
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.revival import revive

routes = Endpoints("admin")

_SUBSCRIPTION = "/api/admin/subscriptions/{id}"

_UNKNOWN: Refusals = {NotFoundError: ()}
_NOT_HERE = ("not_found", "unknown_subscription")
_DECLINED = ("card_declined", "authentication_required")
_UNKNOWN_OR_IN_CONFLICT: Refusals = {NotFoundError: (), ConflictError: ()}


@routes.endpoint("GET", "/api/admin/provisioning", scope="admin:read")
async def get_stuck(call: KeyedCall[None, PageOfIdsQuery]) -> StuckResponse:
    """Return a page of stuck subscriptions with the reason, and suspensions by operators."""
    pool, query = call.app[keys.POOL], call.query
    stuck = await operations.list_stuck(pool, query.after, query.limit)
    holds = await operations.list_holds(pool)
    return StuckResponse(
        stuck=tuple(StuckSubscriptionSchema.of_row(row) for row in stuck),
        holds=tuple(HoldSchema.of_row(row) for row in holds),
    )


@routes.endpoint("POST", "/api/admin/provisioning/retry", scope="admin:operate")
async def post_retry_all(call: KeyedCall) -> RetriedResponse:
    """Retry all stuck subscriptions; returns how many."""
    return RetriedResponse(retried=await operations.retry_all(call.app[keys.POOL], call.actor))


@routes.endpoint("GET", f"{_SUBSCRIPTION}/timeline", scope="admin:read", refusals=_UNKNOWN)
async def get_timeline(call: KeyedCall[SubscriptionPath]) -> TimelineResponse:
    """Return a subscription's history and the state of its services."""
    subscription_id = await subscription_of(call)
    pool = call.app[keys.POOL]
    services = await operations.list_services(pool, subscription_id)
    agreed = await leniency.list_leniency(pool, subscription_id)
    timeline = await operations.list_timeline(pool, subscription_id)
    return TimelineResponse(
        subscription_id=subscription_id,
        services=tuple(ServiceSchema.of_row(row) for row in services),
        leniency=tuple(LeniencySchema.of_row(row) for row in agreed),
        timeline=tuple(TimelineEntrySchema.of(entry) for entry in timeline),
    )


@routes.endpoint(
    "POST", f"{_SUBSCRIPTION}/retry", scope="admin:operate", refusals=_UNKNOWN_OR_IN_CONFLICT
)
async def post_retry(call: KeyedCall[SubscriptionPath]) -> SubscriptionDoneResponse:
    """Retry a subscription now, including services that were refused or skipped."""
    subscription_id = await subscription_of(call)
    await operations.retry(call.app[keys.POOL], subscription_id, call.actor)
    return SubscriptionDoneResponse(subscription_id=subscription_id)


@routes.endpoint(
    "POST", f"{_SUBSCRIPTION}/suspend", scope="admin:operate", refusals=_UNKNOWN_OR_IN_CONFLICT
)
async def post_suspend(
    call: KeyedCall[SubscriptionPath, None, SuspendRequest],
) -> SubscriptionDoneResponse:
    """Suspend all services of a subscription until the suspension is lifted.

    A payment does not lift it.
    """
    subscription_id = await subscription_of(call)
    await operations.suspend(
        call.app[keys.POOL],
        subscription_id,
        reason=call.body.reason,
        operator=call.actor.name,
        by=call.actor,
    )
    return SubscriptionDoneResponse(subscription_id=subscription_id)


@routes.endpoint(
    "POST", f"{_SUBSCRIPTION}/lift", scope="admin:operate", refusals=_UNKNOWN_OR_IN_CONFLICT
)
async def post_lift(call: KeyedCall[SubscriptionPath]) -> SubscriptionDoneResponse:
    """Lift an operator's suspension."""
    subscription_id = await subscription_of(call)
    await operations.lift(
        call.app[keys.POOL], subscription_id, operator=call.actor.name, by=call.actor
    )
    return SubscriptionDoneResponse(subscription_id=subscription_id)


@routes.endpoint(
    "POST", f"{_SUBSCRIPTION}/lenient", scope="admin:operate", refusals=_UNKNOWN_OR_IN_CONFLICT
)
async def post_lenient(
    call: KeyedCall[SubscriptionPath, None, LeniencyRequest],
) -> SubscriptionDoneResponse:
    """Agree on when a debt suspends this subscription, or all of its customer.

    It replaces what was agreed before.
    """
    subscription_id = await subscription_of(call)
    agreement = leniency.Agreement(
        call.body.reason, call.body.grace_days, call.body.not_before, call.body.whole_customer
    )
    await leniency.agree_leniency(
        call.app[keys.POOL],
        subscription_id,
        agreement,
        operator=call.actor.name,
        by=call.actor,
    )
    return SubscriptionDoneResponse(subscription_id=subscription_id)


@routes.endpoint(
    "POST", f"{_SUBSCRIPTION}/adopt", scope="admin:operate", refusals=_UNKNOWN_OR_IN_CONFLICT
)
async def post_adopt(
    call: KeyedCall[SubscriptionPath, None, AdoptRequest],
) -> SubscriptionDoneResponse:
    """Give a subscription the tenant and accounts of the same customer's ended one."""
    subscription_id = await subscription_of(call)
    await operations.adopt(call.app[keys.POOL], subscription_id, call.body.tenant_id, call.actor)
    return SubscriptionDoneResponse(subscription_id=subscription_id)


@routes.endpoint(
    "POST", f"{_SUBSCRIPTION}/strict", scope="admin:operate", refusals=_UNKNOWN_OR_IN_CONFLICT
)
async def post_strict(
    call: KeyedCall[SubscriptionPath, None, EndLeniencyRequest],
) -> SubscriptionDoneResponse:
    """End an agreement: the host's rules apply again."""
    subscription_id = await subscription_of(call)
    await leniency.end_leniency(
        call.app[keys.POOL],
        subscription_id,
        whole_customer=call.body.whole_customer,
        by=call.actor,
    )
    return SubscriptionDoneResponse(subscription_id=subscription_id)


@routes.endpoint(
    "POST",
    f"{_SUBSCRIPTION}/collect-draft",
    scope="admin:money",
    refusals={
        NotFoundError: _NOT_HERE,
        ConflictError: ("no_draft",),
        PaymentFailedError: _DECLINED,
    },
    calls_stripe=True,
)
async def post_collect_draft(call: KeyedCall[SubscriptionPath]) -> CollectedDraftResponse:
    """Finalize and pay the latest draft for a term of a subscription."""
    subscription_id = await subscription_of(call)
    collected = await collect_draft(call.app[keys.MIRROR], subscription_id, call.actor)
    return CollectedDraftResponse(
        subscription_id=subscription_id,
        invoice_id=collected.stripe_invoice_id,
        status=collected.status,
    )


@routes.endpoint(
    "POST",
    f"{_SUBSCRIPTION}/services/{{product_type}}/skip",
    scope="admin:operate",
    refusals=_UNKNOWN,
)
async def post_skip(call: KeyedCall[ServicePath]) -> SubscriptionDoneResponse:
    """Skip a service until its desired state changes or it is retried."""
    subscription_id = await subscription_of(call)
    await operations.skip(call.app[keys.POOL], subscription_id, call.path.product_type, call.actor)
    return SubscriptionDoneResponse(subscription_id=subscription_id)


@routes.endpoint(
    "POST", "/api/admin/prices/{id}/ignore", scope="admin:operate", refusals={ConflictError: ()}
)
async def post_ignore_price(
    call: KeyedCall[PricePath, None, IgnorePriceRequest],
) -> PriceDoneResponse:
    """Ignore a price outside the catalogue: its items provide nothing, and are no trouble."""
    checked = await operations.ignore_price(
        call.app[keys.POOL],
        call.path.id,
        reason=call.body.reason,
        operator=call.actor.name,
        by=call.actor,
    )
    return PriceDoneResponse(checked=checked)


@routes.endpoint(
    "POST", "/api/admin/prices/{id}/heed", scope="admin:operate", refusals={ConflictError: ()}
)
async def post_heed_price(call: KeyedCall[PricePath]) -> PriceDoneResponse:
    """Take back that items at a price give nothing."""
    checked = await operations.heed_price(call.app[keys.POOL], call.path.id, call.actor)
    return PriceDoneResponse(checked=checked)


@routes.endpoint(
    "POST",
    f"{_SUBSCRIPTION}/revive",
    scope="admin:money",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals={
        NotFoundError: _NOT_HERE,
        ConflictError: (
            "accounts_terminated",
            "change_in_progress",
            "different_terms",
            "discount_not_copyable",
            "held",
            "idempotency_key_reused",
            "not_ended",
            "taken_over",
        ),
        PaymentFailedError: _DECLINED,
    },
)
async def post_revive(
    call: KeyedCall[SubscriptionPath, None, ReviveRequest],
) -> RevivedResponse:
    """Bill an ended customer again, for the same tenant and accounts.

    What was paid for is not billed again; honours `Idempotency-Key`.
    """
    request = ChangeRequest(
        call.actor, await subscription_of(call), CustomerRef(), call.idempotency_key
    )
    revived = await revive(
        call.app[keys.MIRROR], request, without_discounts=call.body.without_discounts
    )
    return RevivedResponse(
        subscription_id=revived.subscription.id,
        stripe_subscription_id=revived.subscription.stripe_id or "",
        changed=revived.changed,
    )


@routes.endpoint(
    "POST", f"{_SUBSCRIPTION}/keep-payment", scope="admin:money", refusals=_UNKNOWN_OR_IN_CONFLICT
)
async def post_keep_payment(
    call: KeyedCall[SubscriptionPath, None, KeepPaymentRequest],
) -> KeptPaymentsResponse:
    """Declare that what was paid after the end is settled: it no longer keeps the accounts."""
    subscription_id = await subscription_of(call)
    kept = await keep_payments(
        call.app[keys.POOL],
        subscription_id,
        reason=call.body.reason,
        operator=call.actor.name,
        by=call.actor,
    )
    return KeptPaymentsResponse(
        subscription_id=subscription_id,
        payments=tuple(
            KeptPaymentSchema(invoice_id=id_, amount=amount, currency=currency)
            for id_, amount, currency in kept
        ),
    )
