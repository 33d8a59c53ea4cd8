"""Old cards, direct charges, credits, features, and objects that keep what is said about them."""

from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.param_cases import Scene, case, scene

BANK_ACCOUNT = {
    "account_holder_name": "Ada",
    "account_holder_type": "individual",
    "account_number": "000123456789",
    "country": "US",
    "routing_number": "110000000",
}
CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034}
SHIPPING = {"name": "Ada", "address": {"line1": "z"}}
GRANT = {
    "customer": "$customer",
    "amount": {"type": "monetary", "monetary": {"currency": "usd", "value": 500}},
    "applicability_config": {"scope": {"price_type": "metered"}},
}
ALERT = {
    "alert_type": "usage_threshold",
    "title": "Many",
    "usage_threshold": {"gte": 5, "meter": "mtr_x", "recurrence": "one_time"},
}
RATE = {"display_name": "Ground", "fixed_amount": {"amount": 500, "currency": "usd"}}
OFFERED = [{"price": "$monthly", "quantity": 1}]
SPAM = {"alias": "spam", "name": "Spam"}


def add_records(desk: Desk) -> None:
    _add_old_cards(desk)
    _add_features(desk)
    _add_credits(desk)
    _add_kept(desk)


def _add_old_cards(desk: Desk) -> None:
    do = desk.do
    do("POST /customers", keep="old", email="old@example.com", coupon="$coupon")
    for name in ("old_card", "other_old_card"):
        do("POST /customers/{id}/sources", of="old", keep=name, source="tok_visa")
        desk.names[f"{name}_path"] = f"{desk.names['old']}/{desk.names[name]}"
    do("POST /tokens", keep="token", card=CARD)
    do("POST /sources", keep="source", type="card", token="tok_visa")
    account = do("POST /tokens", keep="bank_token", bank_account=BANK_ACCOUNT)["bank_account"]
    do("POST /customers/{id}/sources", of="old", source="$bank_token")
    desk.names["bank_path"] = f"{desk.names['old']}/{account['id']}"
    do("POST /tokens", keep="fresh_bank_token", bank_account=BANK_ACCOUNT)
    do("POST /tokens", keep="debit_token", bank_account=BANK_ACCOUNT)
    do("POST /sources", keep="debit", type="ach_debit", token="$debit_token")
    do("POST /sources", keep="given_source", type="card", token="tok_visa")
    do("POST /customers/{id}/sources", of="old", source="$given_source")
    do("POST /charges", keep="held", amount=500, currency="usd", source="tok_visa", capture=False)
    do("POST /charges", amount=500, currency="usd", source="tok_riskLevelElevated")
    reviews = desk.world.store.all("review")
    desk.names["review"] = next(iter(reviews))["id"]


def _add_features(desk: Desk) -> None:
    do = desk.do
    do("POST /entitlements/features", keep="feature", name="Backups", lookup_key="backups")
    made = do("POST /products/{id}/features", of="product", entitlement_feature="$feature")
    desk.names["product_feature"] = f"{desk.names['product']}/{made['id']}"


def _add_credits(desk: Desk) -> None:
    do = desk.do
    do("POST /billing/credit_grants", keep="grant", **GRANT)
    do("POST /billing/alerts", keep="alert", **ALERT)


def _add_kept(desk: Desk) -> None:
    do = desk.do
    do("POST /shipping_rates", keep="rate", **RATE)
    do("POST /radar/value_lists", keep="value_list", **SPAM)
    do("POST /radar/value_lists", keep="other_list", alias="good", name="Good")
    do("POST /radar/value_list_items", keep="listed", value_list="$value_list", value="a@b.c")
    do("POST /payment_method_domains", keep="own_domain", domain_name="shop.example")
    do("POST /payment_method_configurations", keep="methods", name="Shop")
    do("POST /ephemeral_keys", keep="key", customer="$customer")
    do("POST /subscriptions", keep="classic", customer="$elsewhere",
       items=[{"price": "$monthly"}], billing_mode={"type": "classic"})  # fmt: skip
    do("POST /payouts", keep="payout", amount=900, currency="usd")
    do("POST /topups", keep="topup", amount=900, currency="usd")
    do("POST /payment_methods", keep="shopping_card", type="card", card={"token": "tok_visa"})
    do("POST /payment_links", keep="link", line_items=OFFERED)
    for name in ("quote", "open_quote"):
        do("POST /quotes", keep=name, customer="$customer", line_items=OFFERED)
    do("POST /quotes/{id}/finalize", of="open_quote")
    desk.names["template"] = "inrtem_1SandboxStandard0"
    do("POST /invoice_rendering_templates/{id}/unarchive", of="template")


RECORD_SCENES: dict[str, Scene] = {
    "POST /tokens": scene(
        card=CARD,
        cases={
            "card": case("$old_card", card=None),
            "card.number": case("4242424242424242", "5555555555554444"),
            "card.exp_month": case(1, 2),
            "card.exp_year": case(2035, 2036),
            "card.cvc": case("123"),
            **{
                f"bank_account.{name}": case(
                    *values, refused=refused, card=None, bank_account=BANK_ACCOUNT
                )
                for name, values, refused in (
                    ("account_holder_name", ("Ada", "Bob"), ()),
                    ("account_holder_type", ("company", "individual"), ()),
                    ("account_number", ("000123456789", "000222222227"), ()),
                    ("account_type", ("checking", "savings"), ()),
                    ("country", ("US",), ("DE",)),
                    ("currency", ("usd",), ("eur",)),
                    ("routing_number", ("110000000",), ("1",)),
                )
            },
        },
    ),
    "POST /sources": scene(
        token="tok_visa",
        cases={
            "token": case("tok_visa", "tok_amex"),
            "type": case("ach_debit", token="$fresh_bank_token"),
        },
    ),
    "POST /sources/{id}/verify": scene(
        "debit", cases={"values": case(["32", "45"], refused=(["1", "2"],))}
    ),
    "POST /customers/{id}/sources/{source}/verify": scene(
        "bank_path", cases={"amounts": case([32, 45], refused=([1, 2],))}
    ),
    "POST /sources/{id}": scene("source"),
    "POST /customers/{id}/sources": scene(
        "old", source="tok_visa", cases={"source": case("tok_visa", "$source")}
    ),
    "GET /customers/{id}/sources": scene("old", cases={"object": case("card", "x")}),
    "POST /customers/{id}/sources/{source}": scene(
        "old_card_path", cases={"exp_month": case(1, 2), "exp_year": case(2035, 2036)}
    ),
    "DELETE /customers/{id}/sources/{source}": scene("old_card_path"),
    "DELETE /customers/{id}/discount": scene("old"),
    "POST /charges": scene(
        amount=900,
        currency="usd",
        source="tok_visa",
        cases={
            "amount": case(800, 900),
            "customer": case("$old", source=None),
            "source": case("tok_visa", "tok_amex"),
            **{
                f"shipping.{name}": case(shipping=SHIPPING)
                for name in ("carrier", "name", "phone", "tracking_number")
            },
            **{
                f"shipping.address.{name}": case(shipping=SHIPPING)
                for name in ("city", "country", "line1", "line2", "postal_code", "state")
            },
        },
    ),
    "POST /charges/{id}/capture": scene("held", cases={"amount": case(100, 200)}),
    "POST /reviews/{id}/approve": scene("review"),
    "POST /entitlements/features": scene(name="Logs", lookup_key="logs"),
    "POST /entitlements/features/{id}": scene("feature"),
    "POST /products/{id}/features": scene(
        "product", cases={"entitlement_feature": case("$feature")}
    ),
    "GET /products/{id}/features": scene("product"),
    "DELETE /products/{id}/features/{feature}": scene("product_feature"),
    "GET /entitlements/active_entitlements": scene(
        customer="$customer", cases={"customer": case("$customer", "$old")}
    ),
    "GET /entitlements/features": scene(cases={"archived": case(True, False)}),
    "POST /billing/credit_grants": scene(
        **GRANT,
        cases={
            "amount.type": case(),
            "amount.monetary.currency": case(),
            "amount.monetary.value": case(5, 6),
            "category": case(),
            "effective_at": case(START, START + DAY),
            "expires_at": case(START + DAY),
        },
    ),
    "POST /billing/credit_grants/{id}": scene("grant", cases={"expires_at": case(START + DAY)}),
    "POST /billing/credit_grants/{id}/expire": scene("grant"),
    "POST /billing/credit_grants/{id}/void": scene("grant"),
    "GET /billing/credit_balance_transactions": scene(
        customer="$customer",
        cases={"customer": case("$customer", "$old"), "credit_grant": case("$grant", "x")},
    ),
    "GET /billing/credit_balance_summary": scene(
        customer="$customer",
        filter={"type": "applicability_scope"},
        cases={
            "customer": case("$customer", "$old"),
            "filter.type": case("applicability_scope", "credit_grant"),
            "filter.credit_grant": case("$grant", "x", filter={"type": "credit_grant"}),
        },
    ),
    "GET /billing/credit_grants": scene(cases={"customer": case("$customer", "$old")}),
    "POST /billing/alerts": scene(
        **ALERT,
        cases={
            "usage_threshold.gte": case(5, 6),
            "usage_threshold.filters.customer": case("$customer"),
        },
    ),
    **{
        f"POST /billing/alerts/{{id}}/{name}": scene("alert")
        for name in ("activate", "archive", "deactivate")
    },
    "POST /shipping_rates": scene(
        **RATE,
        cases={
            "fixed_amount.amount": case(5, 6),
            "fixed_amount.currency": case(),
        },
    ),
    "POST /shipping_rates/{id}": scene("rate"),
    "POST /radar/value_lists": scene(**{**SPAM, "alias": "new"}),
    "POST /radar/value_lists/{id}": scene("value_list"),
    "DELETE /radar/value_lists/{id}": scene("value_list"),
    "GET /radar/value_lists": scene(cases={"alias": case("spam", "x")}),
    "POST /radar/value_list_items": scene(
        value_list="$value_list",
        value="x",
        cases={"value_list": case("$value_list", "$other_list")},
    ),
    "DELETE /radar/value_list_items/{id}": scene("listed"),
    "GET /radar/value_list_items": scene(
        value_list="$value_list",
        cases={"value_list": case("$value_list", "$other_list"), "value": case("a@b.c", "x")},
    ),
    "POST /payment_method_domains": scene(domain_name="a.example"),
    "POST /payment_method_domains/{id}": scene("own_domain"),
    "POST /payment_method_domains/{id}/validate": scene("own_domain"),
    "GET /payment_method_domains": scene(cases={"domain_name": case("shop.example", "x")}),
    "POST /payment_method_configurations": scene(),
    "POST /payment_method_configurations/{id}": scene("methods"),
    "POST /subscriptions/{id}/migrate": scene(
        "classic", cases={"billing_mode.type": case("flexible")}
    ),
    "DELETE /subscriptions/{id}/discount": scene("subscription"),
    "POST /ephemeral_keys": scene(cases={"customer": case("$customer", refused=("x",))}),
    "DELETE /ephemeral_keys/{id}": scene("key"),
    "POST /customer_sessions": scene(
        customer="$customer", components={"pricing_table": {"enabled": True}}
    ),
    "POST /payouts": scene(
        amount=900, currency="usd", cases={"amount": case(800, 900), "currency": case()}
    ),
    "POST /payouts/{id}": scene("payout"),
    "POST /topups": scene(
        amount=900, currency="usd", cases={"amount": case(800, 900), "currency": case()}
    ),
    "POST /topups/{id}": scene("topup"),
    "GET /payouts": scene(cases={"status": case("pending", "x")}),
    "GET /topups": scene(cases={"status": case("pending", "failed")}),
    "POST /payment_pages/{id}/confirm": scene(
        "session",
        payment_method="$shopping_card",
        cases={
            "payment_method": case(),
            "expected_amount": case(1000, refused=(999,)),
        },
    ),
    "POST /plans": scene(
        currency="usd",
        interval="month",
        product="$product",
        amount=500,
        cases={
            "amount": case(5, 6),
            "amount_decimal": case(5, 6, amount=None),
            "product": case("$product", "$other_product"),
            **{
                f"product.{name}": case(product={"name": "New"})
                for name in ("active", "metadata", "name", "statement_descriptor", "unit_label")
            },
            "transform_usage.divide_by": case(5, 6),
            "interval_count": case(2, 3),
        },
    ),
    "POST /plans/{id}": scene("bigger"),
    "DELETE /plans/{id}": scene("bigger"),
    "POST /payment_links": scene(line_items=OFFERED, cases={"line_items.price": case()}),
    "POST /payment_links/{id}": scene("link"),
    "GET /payment_links/{id}/line_items": scene("link"),
    "POST /quotes": scene(
        customer="$customer",
        line_items=OFFERED,
        cases={"line_items.price": case(), "expires_at": case(START + DAY)},
    ),
    "POST /quotes/{id}": scene("quote", cases={"expires_at": case(START + DAY)}),
    "POST /quotes/{id}/finalize": scene("quote", cases={"expires_at": case(START + DAY)}),
    "POST /quotes/{id}/accept": scene("open_quote"),
    "POST /quotes/{id}/cancel": scene("quote"),
    "GET /quotes/{id}/line_items": scene("quote"),
    "GET /quotes/{id}/computed_upfront_line_items": scene("quote"),
    "POST /invoice_rendering_templates/{id}/archive": scene("template"),
    "POST /invoice_rendering_templates/{id}/unarchive": scene("template"),
}
