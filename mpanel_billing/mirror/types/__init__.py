"""The types of Stripe objects that are mirrored: the only list of them."""

from collections.abc import Mapping
from typing import Any

from mpanel_billing.mirror.facts import Facts
from mpanel_billing.mirror.mirrored_type import MirroredType
from mpanel_billing.mirror.reading import Fields, UnreadableObjectError
from mpanel_billing.mirror.types.charge import CHARGE
from mpanel_billing.mirror.types.checkout_session import CHECKOUT_SESSION
from mpanel_billing.mirror.types.credit_note import CREDIT_NOTE
from mpanel_billing.mirror.types.customer import CUSTOMER
from mpanel_billing.mirror.types.discount import DISCOUNT_EVENT_TYPES
from mpanel_billing.mirror.types.dispute import DISPUTE
from mpanel_billing.mirror.types.fraud_warning import FRAUD_WARNING
from mpanel_billing.mirror.types.invoice import INVOICE
from mpanel_billing.mirror.types.invoice_payment import INVOICE_PAYMENT
from mpanel_billing.mirror.types.refund import REFUND
from mpanel_billing.mirror.types.subscription import SUBSCRIPTION
from mpanel_billing.mirror.types.tax_id import TAX_ID
from mpanel_billing.mirror.types.tax_rate import TAX_RATE

MIRRORED: tuple[MirroredType[Any], ...] = (
    CUSTOMER,
    TAX_ID,
    TAX_RATE,
    CHARGE,
    REFUND,
    CREDIT_NOTE,
    DISPUTE,
    FRAUD_WARNING,
    INVOICE_PAYMENT,
    INVOICE,
    SUBSCRIPTION,
    CHECKOUT_SESSION,
)
"""In the order in which the snapshots of one transaction are written."""

MIRRORED_BY_NAME: Mapping[str, MirroredType[Any]] = {each.object_type: each for each in MIRRORED}

TOLD_EVENT_TYPES = frozenset({"invoice.upcoming"})
"""The events of objects that do not exist yet: kept, and told to mPanel by a trigger."""

EVENT_TYPES = DISCOUNT_EVENT_TYPES.union(TOLD_EVENT_TYPES, *(each.event_types for each in MIRRORED))
"""The events that are applied or told, and that the webhook endpoint subscribes to."""

COMPARED = tuple(each.object_type for each in MIRRORED if each.comparison is not None)
"""The types that reconcile compares with Stripe."""

LISTED = tuple(name for name in COMPARED if MIRRORED_BY_NAME[name].listed_in is None)
"""Those of them that Stripe lists; the others are compared with the objects that carry them."""

CARRIED: Mapping[str, tuple[str, ...]] = {
    each.listed_in: tuple(
        other.object_type for other in MIRRORED if other.listed_in == each.listed_in
    )
    for each in MIRRORED
    if each.listed_in is not None
}
"""What is compared with the objects of a type, as they are listed with it."""


def normalise(stripe_object: Mapping[str, Any], *, livemode: bool) -> Facts:
    """Return the facts of a Stripe object; UnreadableObjectError says what is wrong with it.

    `livemode` is used if the object itself does not say (deleted stubs).
    """
    fields = Fields(stripe_object)
    mirrored = MIRRORED_BY_NAME.get(fields.text("object") or "")
    if mirrored is None:
        raise UnreadableObjectError(f"object {fields.text('object')!r} is not mirrored")
    mode = fields.values.get("livemode")
    facts: Facts = mirrored.read(fields, mode if isinstance(mode, bool) else livemode)
    return facts
