"""The phases of a schedule, of what Stripe shows of one that it has made of a subscription."""

from typing import Any

from mpanel_billing.subscriptions.phases import phases_of

SHOWN: dict[str, Any] = {
    "phases": [
        {
            "start_date": 100,
            "end_date": 200,
            "collection_method": "send_invoice",
            "invoice_settings": {"account_tax_ids": None, "days_until_due": 14},
            "automatic_tax": {"enabled": True, "disabled_reason": None, "liability": None},
            "default_tax_rates": [{"id": "txr_1", "object": "tax_rate"}],
            "default_payment_method": "pm_1",
            "description": None,
            "discounts": [{"coupon": None, "discount": "di_1", "promotion_code": None}],
            "metadata": {"note": "kept", "planId": "premium"},
            "items": [
                {
                    "price": "price_premium",
                    "quantity": 1,
                    "discounts": [{"coupon": None, "discount": "di_2", "promotion_code": None}],
                    "tax_rates": [{"id": "txr_2"}],
                    "metadata": {},
                },
                {"price": "price_addon", "quantity": 2, "discounts": [], "metadata": {"a": "b"}},
            ],
        }
    ]
}
PLANNED: dict[str, Any] = {
    "at": 250,
    "lasts": {"interval": "month", "interval_count": 1},
    "metadata": {"planId": "starter"},
    "items": [
        {"price": "price_starter", "quantity": 1, "before": "price_premium"},
        {"price": "price_addon", "quantity": 2, "before": "price_addon"},
        {"price": "price_new", "quantity": 1, "before": None},
    ],
}
CARRIED: dict[str, Any] = {
    "collection_method": "send_invoice",
    "invoice_settings": {"days_until_due": 14},
    "automatic_tax": {"enabled": True},
    "default_tax_rates": ["txr_1"],
    "default_payment_method": "pm_1",
    "discounts": [{"discount": "di_1"}],
}
ITEM: dict[str, Any] = {
    "quantity": 1,
    "discounts": [{"discount": "di_2"}],
    "tax_rates": ["txr_2"],
}
ADDON: dict[str, Any] = {"price": "price_addon", "quantity": 2, "metadata": {"a": "b"}}


def test_both_phases_carry_on_discounts_taxes_payment_and_metadata() -> None:
    running, later = phases_of(SHOWN, PLANNED)
    assert running == CARRIED | {
        "items": [ITEM | {"price": "price_premium"}, ADDON],
        "start_date": 100,
        "end_date": 250,
        "metadata": {"note": "kept", "planId": "premium"},
    }
    assert later == CARRIED | {
        "items": [
            ITEM | {"price": "price_starter"},
            ADDON,
            {"price": "price_new", "quantity": 1},
        ],
        "duration": {"interval": "month", "interval_count": 1},
        "proration_behavior": "none",
        "metadata": {"note": "kept", "planId": "starter"},
    }
