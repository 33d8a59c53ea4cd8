"""Domain names: a paid order gets them, unless another customer has them, and keeps others off.

Payment decides, or the beginning of a trial: until then an order holds nothing. Pages on which
others could still pay for the same name are then closed.
"""

import logging
from collections.abc import Collection, Mapping

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.domains.names import DomainName, read_name
from mpanel_billing.domains.proof import ProofRules
from mpanel_billing.domains.repository import names
from mpanel_billing.errors import StripeError, StripeObjectMissingError, StripeUnavailableError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.lease import Lease, LeaseLostError
from mpanel_billing.provisioning.repository.proofs import ask_proof
from mpanel_billing.provisioning.tenant import tenant_id
from mpanel_billing.provisioning.work import Work
from mpanel_billing.stripe_gateway.hosted_pages import expire_checkout_session

logger = logging.getLogger(__name__)

_UNDECIDED = frozenset({None, "ordered"})


async def claim_domains(pool: Pool, lease: Lease, work: Work, rules: ProofRules | None) -> bool:
    """Decide which of the ordered names the subscription gets; False if it is decided already.

    Of two paid orders for a name, or for one under the other, exactly one gets it. By `rules` the
    buyer's own name has to be proven first; None: their word counts.
    """
    ordered = [name for name in work.ordered_names if work.domain_states.get(name) in _UNDECIDED]
    if not ordered:
        return False
    wanted = [read_name(name) for name in ordered]
    async with transaction(pool) as conn:
        await names.lock_names(conn, wanted)
        kept = await _attach_kept(conn, work, wanted)
        new = {name: _mode_of(work, name) for name in wanted if name.ascii not in kept}
        taken = await names.list_taken(
            conn,
            new,
            vouched_customer=work.vouched_customer_id,
            subscription_id=work.subscription_id,
            tenant_id=work.tenant_id or tenant_id(work.subscription_id),
        )
        if not await names.settle_names(
            conn,
            work.subscription_id,
            lease.token,
            new,
            taken=taken,
            proofs=await _proofs_for(conn, work, rules, new),
            trouble=_trouble_of(work, taken),
        ):
            raise LeaseLostError
    return True


async def _proofs_for(
    conn: Connection,
    work: Work,
    rules: ProofRules | None,
    new: Mapping[DomainName, names.DomainMode],
) -> list[names.AskedProof]:
    """Return what the buyer is asked to prove: what they say is theirs, and we do not know.

    The names must be locked: no two customers are given the same nameservers for a name.
    """
    own = [name for name, mode in new.items() if mode in names.BUYERS_OWN]
    if rules is None or not own:
        return []
    if work.vouched_customer_id is not None:
        covered = await names.list_covered(conn, own, work.vouched_customer_id)
        own = [name for name in own if name.ascii not in covered]
    return [await ask_proof(conn, rules, name) for name in own]


async def _attach_kept(conn: Connection, work: Work, wanted: Collection[DomainName]) -> set[str]:
    """Give it what its customer has kept from an ended subscription, if mPanel vouches for them."""
    if work.vouched_customer_id is None:
        return set()
    return await names.attach_kept(conn, work.subscription_id, wanted, work.vouched_customer_id)


def _mode_of(work: Work, name: DomainName) -> names.DomainMode:
    """Return how the buyer gets a name; what nobody understands is ordered nowhere."""
    if name.ascii != work.ordered_domain:
        return "new-or-transfer"
    return names.MODES.get(work.domain_mode or "", "existing")


def _trouble_of(work: Work, taken: set[str]) -> str | None:
    """Return what an operator has to settle about the names that the buyer cannot have.

    Before there is a tenant its own is told later, with the name that the tenant gets instead.
    """
    own = () if work.tenant_id is None or work.ordered_domain is None else (work.ordered_domain,)
    lost = [name for name in (*own, *work.ordered_further_domains) if name in taken]
    if not lost:
        return None
    return f"Ordered, but held by another customer, and so not registered: {', '.join(lost)}."


async def close_rival_pages(mirror: Mirror, work: Work) -> str | None:
    """Close the pages on which others can still pay for a name of the subscription.

    Returns the error if that failed; provisioning does not wait for it.
    """
    if not work.rival_pages:
        return None
    async with acquired(mirror.pool) as conn:
        await names.call_off_rivals(conn, {page.subscription_id for page in work.rival_pages})
    try:
        for page in work.rival_pages:
            if page.session_id is not None:
                await _close(mirror, page.session_id)
    except StripeError as error:
        logger.warning(
            "payment pages for a name that is taken: %s",
            error,
            extra={"subscriptionId": str(work.subscription_id)},
        )
        return f"payment pages of others for its domain: {error}"
    return None


async def _close(mirror: Mirror, session_id: str) -> None:
    """Expire a page so that it cannot be paid; what became of it is mirrored."""
    try:
        await expire_checkout_session(mirror.stripe, session_id)
    except StripeUnavailableError:
        raise
    except StripeError as error:
        logger.info("not expired: %s", error, extra={"sessionId": session_id})
    try:
        await mirror.refresh("checkout.session", session_id)
    except StripeObjectMissingError:
        logger.warning("Stripe has no such session", extra={"sessionId": session_id})
    logger.info("closed a page for a name that is taken", extra={"sessionId": session_id})
