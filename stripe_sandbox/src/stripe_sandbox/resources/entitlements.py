"""`/v1/entitlements`, and the features of products: what an active subscription entitles to."""

from collections.abc import Iterator

from stripe.params import (
    ProductFeatureCreateParams,
    ProductFeatureDeleteParams,
    ProductFeatureListParams,
    ProductFeatureRetrieveParams,
)
from stripe.params.entitlements import (
    ActiveEntitlementListParams,
    ActiveEntitlementRetrieveParams,
    FeatureCreateParams,
    FeatureListParams,
    FeatureRetrieveParams,
    FeatureUpdateParams,
)

from stripe_sandbox import shapes
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, missing_param, no_such
from stripe_sandbox.operations import Call, Listing, Operation
from stripe_sandbox.resources.records import Records
from stripe_sandbox.supported import supports
from stripe_sandbox.world import World

FEATURE, OF_PRODUCT, ACTIVE = (
    "entitlements.feature",
    "product_feature",
    "entitlements.active_entitlement",
)
ENTITLING = frozenset({"active", "trialing", "past_due"})
"""The statuses of a subscription whose features its customer may use."""

HOLDERS = "_product_features"
"""Kind of the notes of which product has which feature."""


def _feature_fields(call: Call) -> Document:
    key = call.get("lookup_key")
    if any(one["lookup_key"] == key for one in call.world.store.all(FEATURE)):
        message = f"A feature with the lookup key {key} exists already."
        raise invalid(message, param="lookup_key", code="resource_already_exists")
    return {"active": True}


def _is_archived(feature: ReadOnly, archived: bool) -> bool:
    return bool(feature["active"] is not archived)


FEATURES = Records(
    FEATURE, "/entitlements/features", "feat", _feature_fields, filters={"archived": _is_archived}
)


def add_to_product(call: Call) -> Document:
    """Add a feature to a product."""
    world = call.world
    world.find("product", call.id, "product")
    feature = world.find(FEATURE, call.get("entitlement_feature"), "entitlement_feature")
    added = world.add(
        {
            "id": world.ids.next("prodft"),
            "object": OF_PRODUCT,
            "entitlement_feature": feature,
            "livemode": False,
        }
    )
    world.store.put(HOLDERS, {"id": added["id"], "product": call.id})
    return added


def _of_product(world: World, product_id: str) -> Iterator[ReadOnly]:
    for note in world.store.newest_first(HOLDERS):
        found = world.store.peek(OF_PRODUCT, note["id"])
        if found and note["product"] == product_id:
            yield found


def list_of_product(call: Call) -> Listing:
    """List a product's features."""
    call.world.find("product", call.id, "product")
    return Listing([*_of_product(call.world, call.id)])


def _find(call: Call) -> Document:
    mine = (one for one in _of_product(call.world, call.id) if one["id"] == call.ids["feature"])
    found = next(mine, None)
    if found is None:
        raise no_such("product feature", call.ids["feature"])
    return dict(found)


def remove_from_product(call: Call) -> Document:
    """Take a feature from a product."""
    found = _find(call)
    call.world.store.delete(OF_PRODUCT, found["id"])
    call.world.store.delete(HOLDERS, found["id"])
    return {"id": found["id"], "object": OF_PRODUCT, "deleted": True}


def active_entitlements(world: World, customer_id: str) -> list[Document]:
    """Return what a customer's subscriptions entitle them to, each feature once."""
    found: dict[str, Document] = {}
    for subscription in world.store.newest_first("subscription"):
        if subscription["customer"] == customer_id and subscription["status"] in ENTITLING:
            for item in subscription["items"]["data"]:
                for one in _of_product(world, item["price"]["product"]):
                    entitlement = _entitlement(customer_id, one["entitlement_feature"])
                    found.setdefault(entitlement["id"], entitlement)
    return [*found.values()]


def _entitlement(customer_id: str, feature: ReadOnly) -> Document:
    parts = (customer_id, feature["id"])
    return shapes.complete(
        {
            "id": "ent_" + "_".join(part.partition("_")[2] for part in parts),
            "object": ACTIVE,
            "feature": feature["id"],
            "livemode": False,
            "lookup_key": feature["lookup_key"],
        }
    )


def list_active(call: Call) -> Listing:
    """List what a customer is entitled to now."""
    if call.get("customer") is None:
        raise missing_param("customer")
    call.world.find("customer", call.get("customer"), "customer")
    return Listing(active_entitlements(call.world, call.get("customer")))


def fetch_active(call: Call) -> Document:
    """Return an entitlement that is active now."""
    for customer in call.world.store.all("customer"):
        for one in active_entitlements(call.world, customer["id"]):
            if one["id"] == call.id:
                return one
    raise no_such("active entitlement", call.id)


SAID = supports("metadata", "name")
PATH = "/products/{id}/features"
ONE = f"{PATH}/{{feature}}"
ACTIVE_PATH = "/entitlements/active_entitlements"

OPERATIONS = (
    FEATURES.creating(FeatureCreateParams, supports("lookup_key", base=SAID)),
    FEATURES.updating(FeatureUpdateParams, supports("active", base=SAID)),
    *FEATURES.reading(FeatureRetrieveParams, FeatureListParams, supports("archived", "lookup_key")),
    Operation(
        "POST",
        PATH,
        ProductFeatureCreateParams,
        add_to_product,
        supports("entitlement_feature"),
    ),
    Operation("GET", PATH, ProductFeatureListParams, list_of_product),
    Operation("GET", ONE, ProductFeatureRetrieveParams, _find),
    Operation("DELETE", ONE, ProductFeatureDeleteParams, remove_from_product),
    Operation("GET", ACTIVE_PATH, ActiveEntitlementListParams, list_active, supports("customer")),
    Operation("GET", f"{ACTIVE_PATH}/{{id}}", ActiveEntitlementRetrieveParams, fetch_active),
)
