"""`/v1/coupons` and `/v1/promotion_codes`."""

from stripe.params import (
    CouponCreateParams,
    CouponDeleteParams,
    CouponListParams,
    CouponRetrieveParams,
    CouponUpdateParams,
    PromotionCodeCreateParams,
    PromotionCodeListParams,
    PromotionCodeRetrieveParams,
    PromotionCodeUpdateParams,
)

from stripe_sandbox.documents import Document, merge_metadata
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.money import check_currency
from stripe_sandbox.operations import Call, Operation, listing, retrieve
from stripe_sandbox.supported import supports

MAX_PERCENT = 100
CODE_LENGTH = 8


def create_coupon(call: Call) -> Document:
    """Create a coupon."""
    world = call.world
    coupon_id = call.get("id") or world.ids.letters(CODE_LENGTH)
    if world.store.peek("coupon", coupon_id):
        raise invalid("Coupon already exists.", param="id", code="resource_already_exists")
    _check_reduction(call)
    _check_duration(call)
    coupon = world.add(
        {
            "id": coupon_id,
            "object": "coupon",
            "amount_off": call.get("amount_off"),
            "created": world.now(),
            "currency": call.get("currency"),
            "duration": call.get("duration", "once"),
            "duration_in_months": call.get("duration_in_months"),
            "livemode": False,
            "max_redemptions": call.get("max_redemptions"),
            "metadata": call.get("metadata", {}),
            "name": call.get("name"),
            "percent_off": call.get("percent_off"),
            "redeem_by": call.get("redeem_by"),
            "times_redeemed": 0,
            "valid": True,
            **call.pick("applies_to"),
        }
    )
    world.announce("coupon.created", coupon)
    return coupon


def _check_reduction(call: Call) -> None:
    percent, amount = call.get("percent_off"), call.get("amount_off")
    if (percent is None) == (amount is None):
        raise invalid("You must pass either percent_off or amount_off, and not both.")
    if percent is not None and not 0 < percent <= MAX_PERCENT:
        message = "Invalid percent_off: must be greater than 0 and at most 100."
        raise invalid(message, param="percent_off")
    if amount is None:
        return
    if call.get("currency") is None:
        raise missing_param("currency")
    check_currency(call.get("currency"), "currency")


def _check_duration(call: Call) -> None:
    repeats = call.get("duration") == "repeating"
    if repeats != (call.get("duration_in_months") is not None):
        message = (
            "duration_in_months is required if duration is repeating, and not allowed otherwise."
        )
        raise invalid(message, param="duration_in_months")


def update_coupon(call: Call) -> Document:
    """Update a coupon's name or metadata."""
    coupon = call.world.find("coupon", call.id)
    coupon |= call.pick("name")
    if "metadata" in call.params:
        coupon["metadata"] = merge_metadata(coupon["metadata"], call.params["metadata"])
    return call.world.change(coupon)


def delete_coupon(call: Call) -> Document:
    """Delete a coupon; existing discounts stay."""
    world = call.world
    coupon = world.find("coupon", call.id)
    world.store.delete("coupon", call.id)
    world.store.put("_deleted_coupon", coupon)
    world.announce("coupon.deleted", coupon)
    return {"id": call.id, "object": "coupon", "deleted": True}


def create_promotion_code(call: Call) -> Document:
    """Create a promotion code, by default with a random code."""
    world = call.world
    coupon_id = call.get("promotion", {}).get("coupon")
    if coupon_id is None:
        raise missing_param("promotion[coupon]")
    world.find("coupon", coupon_id, "promotion[coupon]")
    code = call.get("code") or world.ids.letters(CODE_LENGTH).upper()
    if any(p["active"] for p in world.store.where("promotion_code", "code", code.lower())):
        message = "An active promotion code with the same code already exists."
        raise invalid(message, param="code", code="resource_already_exists")
    promotion = world.add(
        {
            "id": world.ids.next("promo"),
            "object": "promotion_code",
            "active": call.get("active", True),
            "code": code,
            "created": world.now(),
            "customer": call.get("customer"),
            "expires_at": call.get("expires_at"),
            "livemode": False,
            "max_redemptions": call.get("max_redemptions"),
            "metadata": call.get("metadata", {}),
            "promotion": {"coupon": coupon_id, "type": "coupon"},
            "restrictions": {"first_time_transaction": False, **_restrictions(call)},
            "times_redeemed": 0,
        }
    )
    world.announce("promotion_code.created", promotion)
    return promotion


def _restrictions(call: Call) -> Document:
    given = dict(call.get("restrictions", {}))
    if (given.get("minimum_amount") is None) != (given.get("minimum_amount_currency") is None):
        missing = {"minimum_amount", "minimum_amount_currency"} - given.keys()
        raise missing_param(f"restrictions[{missing.pop()}]")
    return given


def update_promotion_code(call: Call) -> Document:
    """Activate or deactivate a promotion code, or update its metadata."""
    promotion = call.world.find("promotion_code", call.id)
    promotion |= call.pick("active")
    if "metadata" in call.params:
        promotion["metadata"] = merge_metadata(promotion["metadata"], call.params["metadata"])
    return call.world.change(promotion)


COUPON = supports(
    "amount_off",
    "applies_to",
    "currency",
    "duration",
    "duration_in_months",
    "id",
    "max_redemptions",
    "metadata",
    "name",
    "percent_off",
    "redeem_by",
)
CODE = supports(
    "active",
    "code",
    "customer",
    "expires_at",
    "max_redemptions",
    "metadata",
    "promotion",
    restrictions=supports("first_time_transaction", "minimum_amount", "minimum_amount_currency"),
)
UPDATE_CODE = supports("active", "metadata")
UPDATE = supports("metadata", "name")
PATH, CODE_PATH = "/coupons", "/promotion_codes"

OPERATIONS = (
    Operation("POST", PATH, CouponCreateParams, create_coupon, COUPON),
    Operation("GET", PATH, CouponListParams, listing("coupon"), supports("created")),
    Operation("GET", f"{PATH}/{{id}}", CouponRetrieveParams, retrieve("coupon")),
    Operation("POST", f"{PATH}/{{id}}", CouponUpdateParams, update_coupon, UPDATE),
    Operation("DELETE", f"{PATH}/{{id}}", CouponDeleteParams, delete_coupon),
    Operation("POST", CODE_PATH, PromotionCodeCreateParams, create_promotion_code, CODE),
    Operation(
        "GET",
        CODE_PATH,
        PromotionCodeListParams,
        listing(
            "promotion_code",
            code=lambda document, code: document["code"].lower() == code.lower(),
            coupon=lambda document, coupon: document["promotion"]["coupon"] == coupon,
        ),
        supports("active", "code", "coupon", "created", "customer"),
    ),
    Operation(
        "GET", f"{CODE_PATH}/{{id}}", PromotionCodeRetrieveParams, retrieve("promotion_code")
    ),
    Operation(
        "POST",
        f"{CODE_PATH}/{{id}}",
        PromotionCodeUpdateParams,
        update_promotion_code,
        UPDATE_CODE,
    ),
)
