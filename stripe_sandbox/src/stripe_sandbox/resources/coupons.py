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

from stripe_sandbox.billing.currencies import keep_options
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.money import check_currency
from stripe_sandbox.operations import Call, Operation, listing, retrieve
from stripe_sandbox.supported import entries, supports

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
            "currency_options": _amounts_off(call, call.get("currency")),
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


def _amounts_off(call: Call, own: str | None) -> Document:
    """Return what is taken off in other currencies than its own."""
    given: Document = call.get("currency_options", {})
    if given and own is None:
        message = "currency_options are only supported for coupons with amount_off."
        raise invalid(message, param="currency_options")
    return _options(given, own, "amount_off", "currency_options")


def _options(given: ReadOnly, own: str | None, name: str, path: str) -> Document:
    """Return the amounts by currency that a param has; raises ApiError for wrong ones."""
    for currency, told in given.items():
        param = f"{path}[{currency}]"
        check_currency(currency, param)
        if currency == own:
            raise invalid(f"Invalid {param}: this is its own currency.", param=param)
        if told.get(name) is None:
            raise missing_param(f"{param}[{name}]")
    return {currency: {name: told[name]} for currency, told in given.items()}


def _check_duration(call: Call) -> None:
    repeats = call.get("duration") == "repeating"
    if repeats != (call.get("duration_in_months") is not None):
        message = (
            "duration_in_months is required if duration is repeating, and not allowed otherwise."
        )
        raise invalid(message, param="duration_in_months")


def update_coupon(call: Call) -> Document:
    """Update a coupon's name, its metadata, or what it takes off in other currencies."""
    coupon = call.world.find("coupon", call.id)
    coupon |= call.pick("name")
    own = coupon["currency"] if coupon["amount_off"] is not None else None
    coupon["currency_options"] = coupon.get("currency_options", {}) | _amounts_off(call, own)
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
    keep_options(world, promotion, _minimums(call, promotion))
    world.announce("promotion_code.created", promotion)
    return promotion


def _minimums(call: Call, promotion: ReadOnly) -> Document:
    """Return what orders must come to in other currencies."""
    own = promotion["restrictions"]["minimum_amount_currency"]
    path = "restrictions[currency_options]"
    given = call.get("restrictions", {}).get("currency_options") or {}
    if given and own is None:
        raise missing_param("restrictions[minimum_amount]")
    return _options(given, own, "minimum_amount", path)


def _restrictions(call: Call) -> Document:
    given = dict(call.get("restrictions", {}))
    given.pop("currency_options", None)
    if (given.get("minimum_amount") is None) != (given.get("minimum_amount_currency") is None):
        missing = {"minimum_amount", "minimum_amount_currency"} - given.keys()
        raise missing_param(f"restrictions[{missing.pop()}]")
    return given


def update_promotion_code(call: Call) -> Document:
    """Activate or deactivate a promotion code, or update its metadata and further minimums."""
    promotion = call.world.find("promotion_code", call.id)
    promotion |= call.pick("active")
    keep_options(call.world, promotion, _minimums(call, promotion))
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
    currency_options=entries(supports("amount_off")),
)
MINIMUMS = supports(currency_options=entries(supports("minimum_amount")))
CODE = supports(
    "active",
    "code",
    "customer",
    "expires_at",
    "max_redemptions",
    "metadata",
    "promotion",
    restrictions=supports(
        "first_time_transaction", "minimum_amount", "minimum_amount_currency", base=MINIMUMS
    ),
)
UPDATE_CODE = supports("active", "metadata", restrictions=MINIMUMS)
UPDATE = supports("metadata", "name", currency_options=entries(supports("amount_off")))
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
