"""The part of `param_scenes` about the customer portal."""

from tests.stripe_sandbox.param_cases import URL, Scene, case

CANCEL = {"type": "subscription_cancel", "subscription_cancel": {"subscription": "$subscription"}}
CONFIRM = {
    "type": "subscription_update_confirm",
    "subscription_update_confirm": {
        "subscription": "$single",
        "items": [{"id": "$single_item", "price": "$bigger"}],
    },
}
CARD = {"type": "payment_method_update"}
SUBSCRIPTIONS = ("$subscription", "$trial")
CHANGEABLE = ("$single", "$single_trial")
"""Subscriptions of one item: of others, the portal offers no other plan."""


def _flow(path: str, *values: object, **given: object) -> dict[str, Scene]:
    return {f"flow_data.{path}": case(*values, flow_data=given)}


def _change(path: str, *values: object, **given: object) -> dict[str, Scene]:
    return {f"flow_data.{path}": case(*values, customer="$elsewhere", flow_data=given)}


def _offer() -> dict[str, object]:
    retention = {"type": "coupon_offer", "coupon_offer": {"coupon": "$coupon"}}
    cancels = {"subscription": "$subscription", "retention": retention}
    return {**CANCEL, "subscription_cancel": cancels}


def _confirm(item: dict[str, object], **more: object) -> dict[str, object]:
    told = {"subscription": "$single", "items": [item], **more}
    return {**CONFIRM, "subscription_update_confirm": told}


ITEM = {"id": "$single_item", "price": "$bigger"}
OF_CONFIRM = "subscription_update_confirm"
PORTAL_FLOWS: dict[str, Scene] = {
    **_flow("type", "payment_method_update", "subscription_cancel", **CANCEL),
    **_flow(
        "after_completion.type",
        "hosted_confirmation",
        "portal_homepage",
        **CARD,
        after_completion={},
    ),
    **_flow(
        "after_completion.hosted_confirmation.custom_message",
        **CARD,
        after_completion={"type": "hosted_confirmation"},
    ),
    **_flow(
        "after_completion.redirect.return_url",
        URL,
        f"{URL}2",
        **CARD,
        after_completion={"type": "redirect"},
    ),
    **_flow("subscription_cancel.subscription", *SUBSCRIPTIONS, type="subscription_cancel"),
    **_flow("subscription_cancel.retention.type", "coupon_offer", **_offer()),
    **_flow("subscription_cancel.retention.coupon_offer.coupon", "$coupon", "$less", **_offer()),
    "flow_data.subscription_pause.subscription": case(
        *SUBSCRIPTIONS,
        configuration="$portal_configuration",
        flow_data={"type": "subscription_pause"},
    ),
    **_change("subscription_update.subscription", *CHANGEABLE, type="subscription_update"),
    **_change(f"{OF_CONFIRM}.subscription", *CHANGEABLE, **CONFIRM),
    **_change(f"{OF_CONFIRM}.items.id", "$single_item", "$single_trial_item", **_confirm(ITEM)),
    **_change(f"{OF_CONFIRM}.items.price", "$bigger", "$monthly", **_confirm(ITEM)),
    **_change(f"{OF_CONFIRM}.items.quantity", 1, 2, **_confirm(ITEM)),
    **_change(f"{OF_CONFIRM}.discounts.coupon", "$coupon", **_confirm(ITEM)),
    **_change(f"{OF_CONFIRM}.discounts.promotion_code", "$code", **_confirm(ITEM)),
}

SOLD = {"product": "$product", "prices": ["$monthly"]}
PAUSE = "features.subscription_pause.duration"
TIMED = {"subscription_pause": {"duration": {"type": "interval_options"}}}
CONFIGURED: dict[str, Scene] = {
    f"{PAUSE}.interval_options.interval": case(features=TIMED),
    f"{PAUSE}.interval_options.interval_count": case(2, 3, features=TIMED),
    "features.subscription_update.products.product": case(
        "$product",
        "$other_product",
        features={"subscription_update": {"enabled": True, "products": [SOLD]}},
    ),
    "features.subscription_update.products.prices": case(
        ["$monthly"],
        ["$bigger"],
        features={"subscription_update": {"enabled": True, "products": [SOLD]}},
    ),
}
