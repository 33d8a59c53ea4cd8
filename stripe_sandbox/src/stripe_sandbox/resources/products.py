"""`/v1/products`."""

from stripe.params import (
    ProductCreateParams,
    ProductDeleteParams,
    ProductListParams,
    ProductRetrieveParams,
    ProductUpdateParams,
)

from stripe_sandbox.documents import Document, merge_metadata
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call, Operation, listing, retrieve
from stripe_sandbox.supported import supports

PLAIN = (
    "active",
    "description",
    "images",
    "marketing_features",
    "name",
    "shippable",
    "statement_descriptor",
    "tax_code",
    "unit_label",
    "url",
)


def create(call: Call) -> Document:
    """Create a product."""
    world = call.world
    product_id = call.get("id") or world.ids.next("prod")
    if world.store.peek("product", product_id):
        message = f"Product already exists with ID {product_id}."
        raise invalid(message, param="id", code="resource_already_exists")
    now = world.now()
    given = {name: value for name, value in call.pick(*PLAIN).items() if value is not None}
    defaults = {"active": True, "images": [], "marketing_features": []}
    product = world.add(
        {
            **defaults,
            **given,
            "id": product_id,
            "object": "product",
            "created": now,
            "livemode": False,
            "metadata": call.get("metadata", {}),
            "type": call.get("type", "service"),
            "updated": now,
        }
    )
    world.announce("product.created", product)
    return product


def update(call: Call) -> Document:
    """Update a product; the default price must belong to it."""
    world = call.world
    product = world.find("product", call.id)
    product |= call.pick(*PLAIN)
    if "metadata" in call.params:
        product["metadata"] = merge_metadata(product["metadata"], call.params["metadata"])
    if "default_price" in call.params:
        price = world.find("price", call.params["default_price"], "default_price")
        if price["product"] != product["id"]:
            raise invalid("The price must belong to this product.", param="default_price")
        product["default_price"] = price["id"]
    if product != world.store.peek("product", call.id):
        product["updated"] = world.now()
    return world.change(product)


def delete(call: Call) -> Document:
    """Delete a product; raises ApiError while it has prices."""
    world = call.world
    product = world.find("product", call.id)
    if any(world.store.where("price", "product", call.id)):
        message = "This product cannot be deleted because it has one or more user-created prices."
        raise invalid(message)
    world.store.delete("product", call.id)
    world.announce("product.deleted", product)
    return {"id": call.id, "object": "product", "deleted": True}


SUPPORTED = supports(*PLAIN, "metadata")
CREATE = supports("id", "type", base=SUPPORTED)

OPERATIONS = (
    Operation("POST", "/products", ProductCreateParams, create, CREATE),
    Operation(
        "GET",
        "/products",
        ProductListParams,
        listing("product", ids=lambda product, ids: product["id"] in ids),
        supports("active", "created", "ids", "shippable", "type", "url"),
    ),
    Operation("GET", "/products/{id}", ProductRetrieveParams, retrieve("product")),
    Operation(
        "POST",
        "/products/{id}",
        ProductUpdateParams,
        update,
        supports("default_price", base=SUPPORTED),
    ),
    Operation("DELETE", "/products/{id}", ProductDeleteParams, delete),
)
