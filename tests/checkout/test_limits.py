"""Plans, coupons and trials that are sold a limited number of times, whatever their order."""

import asyncio
from typing import Any

import pytest

from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.checkout.test_abandoned import abandon
from tests.service import CREATE_SESSION, Service, make_settings

KEY = "b" * 32
BACKEND = {"Authorization": f"Bearer {KEY}"}
NEUTRAL = "This trial or coupon is not available for this order. Please order without it."
STUDENT = (
    "Student is limited to 1 per customer. If you have ordered it already, please complete that "
    "order; otherwise choose another plan."
)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=KEY,
    )


def order_of(email: str, **changes: Any) -> dict[str, Any]:
    return {
        "planId": "starter",
        "billingCycle": "monthly",
        "customer": {"name": "Somebody", "email": email},
        "domain": {"mode": "later", "value": ""},
        **changes,
    }


def with_coupon(email: str, **changes: Any) -> dict[str, Any]:
    return order_of(email, couponCode="WELCOME10", **changes)


def student(email: str, **changes: Any) -> dict[str, Any]:
    return order_of(email, planId="student", **changes)


async def refused(service: Service, body: dict[str, Any], **headers: str) -> tuple[str, str]:
    response = await service.client.post(CREATE_SESSION, json=body, headers=headers)
    content = await response.json()
    assert response.status == 409, content
    return content["code"], content["error"]


async def limit(service: Service, assignments: str) -> None:
    """Set limits of the coupon here only: Stripe does not help."""
    await service.pool.execute(f"UPDATE coupons SET {assignments}")


async def complete(service: Service, body: dict[str, Any]) -> dict[str, Any]:
    """Order what costs nothing, and complete it without a card."""
    order = await service.order(body)
    assert (await service.stripe.pay(order["url"], "")).status == 303
    await service.stripe.wait_idle()
    return order


async def make_customer(service: Service, email: str) -> str:
    """Insert a customer of mPanel's, with an account."""
    return str(
        await service.pool.fetchval(
            """WITH u AS (INSERT INTO users (email, password_hash) VALUES ($1, 'x') RETURNING id)
               INSERT INTO customers (user_id) SELECT id FROM u RETURNING id""",
            email,
        )
    )


# Coupons


async def test_of_two_orders_in_the_same_instant_one_has_the_last_coupon(service: Service) -> None:
    await limit(service, "max_redemptions = 1")
    responses = await asyncio.gather(
        *(
            service.client.post(CREATE_SESSION, json=with_coupon(f"{name}@example.com"))
            for name in ("ada", "grace", "mary", "kay")
        )
    )
    assert sorted(response.status for response in responses) == [200, 409, 409, 409]
    codes = [(await one.json()).get("code") for one in responses if one.status == 409]
    assert codes == ["coupon_used_up"] * 3


async def test_an_open_page_keeps_its_coupon_and_gives_it_back_when_it_expires(
    service: Service,
) -> None:
    await limit(service, "max_redemptions = 1")
    await service.order(with_coupon("ada@example.com"))
    code, sentence = await refused(service, with_coupon("grace@example.com"))
    assert code == "coupon_used_up"
    assert sentence == 'The coupon "WELCOME10" has been used up. Please order without it.'
    await service.order(order_of("grace@example.com"))
    await service.stripe.advance_time(await service.stripe.now() + 25 * 3600)
    await service.stripe.wait_idle()
    await service.buy(with_coupon("kay@example.com"))
    code, _ = await refused(service, with_coupon("mary@example.com"))
    assert code == "coupon_used_up", "paid, it is used for good"


async def test_a_page_whose_expiry_was_never_announced_gives_its_coupon_back(
    service: Service,
) -> None:
    await limit(service, "max_redemptions = 1")
    await service.order(with_coupon("ada@example.com"))
    await service.pool.execute("UPDATE checkout_sessions SET expires_at = now()")
    await service.order(with_coupon("grace@example.com"))


async def test_a_page_that_could_not_be_opened_keeps_no_coupon_and_asks_for_it_again(
    service: Service,
) -> None:
    await limit(service, "max_redemptions = 1")
    await service.stripe.inject_fault("status", path="/v1/checkout/sessions", status=400)
    ada = with_coupon("ada@example.com")
    assert (await service.client.post(CREATE_SESSION, json=ada)).status == 502
    await service.order(with_coupon("grace@example.com"))
    assert (await refused(service, ada))[0] == "coupon_used_up"


async def test_the_same_order_hours_later_leads_to_its_page_and_takes_no_second_coupon(
    service: Service,
) -> None:
    await limit(service, "max_redemptions = 2, max_per_customer = 1")
    first = await service.order(with_coupon("ada@example.com"))
    await service.pool.execute("UPDATE orders SET created_at = created_at - interval '5 hours'")
    assert await service.order(with_coupon("ada@example.com")) == first


async def test_a_changed_order_has_the_coupon_of_the_one_before_it(service: Service) -> None:
    await limit(service, "max_redemptions = 1, max_per_customer = 1")
    await service.order(with_coupon("ada@example.com"))
    yearly = await service.order(with_coupon("ada@example.com", billingCycle="annually"))
    assert (await service.stripe.pay(yearly["url"])).status == 303


async def test_a_coupon_is_used_once_by_a_person_whatever_they_write_before_the_at(
    service: Service,
) -> None:
    await limit(service, "max_per_customer = 1")
    await service.buy(with_coupon("ada.lovelace@gmail.com"))
    for again in ("ada.lovelace@gmail.com", "adalovelace+2@googlemail.com"):
        assert await refused(service, with_coupon(again)) == ("offer_unavailable", NEUTRAL)
    await service.buy(with_coupon("grace@gmail.com"))


async def test_a_coupon_for_the_first_order_is_for_nobody_who_has_had_one(
    service: Service,
) -> None:
    await limit(service, "first_order_only = TRUE")
    await service.buy(order_of("ada@example.com"))
    again = with_coupon("ada+1@example.com", planId="premium")
    assert await refused(service, again) == ("offer_unavailable", NEUTRAL)
    await service.order(with_coupon("grace@example.com"))
    other_page = with_coupon("grace+1@example.com", planId="premium")
    assert await refused(service, other_page) == ("offer_unavailable", NEUTRAL)


async def test_who_is_vouched_for_is_told_what_they_have_had(service: Service) -> None:
    await limit(service, "max_per_customer = 1")
    ada = await make_customer(service, "ada@example.com")
    body = with_coupon("ada@example.com", customerId=ada)
    first = await service.order(body, **BACKEND)
    assert (await service.stripe.pay(first["url"])).status == 303
    await service.stripe.wait_idle()
    again = body | {"planId": "premium"}
    assert await refused(service, again, **BACKEND) == (
        "coupon_used",
        'You cannot use the coupon "WELCOME10" again. Please order without it.',
    )


async def test_a_strangers_page_takes_nothing_from_a_customer_who_is_vouched_for(
    service: Service,
) -> None:
    await limit(service, "max_per_customer = 1")
    ada = await make_customer(service, "ada@example.com")
    await service.order(with_coupon("ada+1@example.com"))
    await complete(service, student("ada+1@example.com"))
    for body in (with_coupon("ada@example.com"), student("ada@example.com")):
        await service.order(body | {"customerId": ada}, **BACKEND)


async def test_the_limits_of_the_catalogue_hold_from_the_file_to_the_page(
    service: Service, gateway: StripeGateway
) -> None:
    text = DEFAULT_CATALOGUE.read_text().replace(
        "percent_off = 10", 'percent_off = 10\nmax_redemptions = 1\nproducts = ["starter"]'
    )
    await apply_catalogue(service.pool, parse_catalogue(text))
    await push_catalogue(service.pool, StripeCatalogue(gateway.client), livemode=False)
    addon = {"addonIds": ["addon-backups-daily"]}
    await service.buy(with_coupon("ada@example.com", **addon))
    paid = await service.row("SELECT amount_paid FROM invoices")
    assert paid["amount_paid"] == 799 + 499 - 80
    coupon = await gateway.client.v1.coupons.retrieve_async("WELCOME10")
    assert (coupon.times_redeemed, coupon.valid) == (1, False)
    assert (await refused(service, with_coupon("grace@example.com")))[0] == "coupon_used_up"


# Plans


async def test_a_person_has_one_free_plan_at_a_time(service: Service) -> None:
    order = await complete(service, student("ada@example.com"))
    for again in ("ada@example.com", "Ada+2@example.com"):
        assert await refused(service, student(again, billingCycle="annually")) == (
            "plan_limit_reached",
            STUDENT,
        )
    await complete(service, student("grace@example.com"))
    await service.pool.execute(
        "UPDATE subscriptions SET status = 'cancelled' WHERE id = $1::text::uuid",
        order["subscriptionId"],
    )
    await complete(service, student("ada+3@example.com"))


async def test_of_free_plans_ordered_in_the_same_instant_a_person_gets_one(
    service: Service,
) -> None:
    responses = await asyncio.gather(
        *(
            service.client.post(CREATE_SESSION, json=student(f"ada+{tag}@example.com"))
            for tag in range(4)
        )
    )
    assert sorted(response.status for response in responses) == [200, 409, 409, 409]


async def test_a_free_plan_that_was_not_completed_is_free_again_after_a_day(
    service: Service,
) -> None:
    await abandon(service, student("ada@example.com"))
    await complete(service, student("ada+1@example.com"))
    recovery = await service.pool.fetchval(
        "SELECT recovery_url FROM checkout_sessions WHERE status = 'expired'"
    )
    assert recovery is None, "a second one would come back through it"


async def test_a_free_plan_with_a_domain_is_refused_before_anything_is_recorded(
    service: Service,
) -> None:
    domain = {"mode": "register", "value": "ada.io"}
    body = student("ada@example.com", billingCycle="annually", domain=domain)
    response = await service.client.post(CREATE_SESSION, json=body)
    content = await response.json()
    assert (response.status, content["code"]) == (422, "domain_not_included")
    assert "Starter, Premium, Business, WP Starter" in content["error"]
    assert await service.pool.fetchval("SELECT count(*) FROM customers") == 0


# Trials


async def test_a_person_has_one_trial_of_a_plan_whatever_they_write_before_the_at(
    service: Service,
) -> None:
    await service.buy(order_of("ada.lovelace@gmail.com", trialActive=True))
    again = order_of("Ada.Love.Lace+new@googlemail.com", trialActive=True)
    assert await refused(service, again) == ("offer_unavailable", NEUTRAL)
    await service.order(order_of("Ada.Love.Lace+new@googlemail.com"))


async def test_a_stranger_hears_the_same_sentence_about_trials_coupons_and_first_orders(
    service: Service,
) -> None:
    await service.buy(order_of("ada@example.com", trialActive=True))
    await limit(service, "first_order_only = TRUE, max_per_customer = 1")
    heard = {
        await refused(service, order_of("ada+1@example.com", trialActive=True)),
        await refused(service, with_coupon("ada+1@example.com")),
        await refused(service, with_coupon("ada+1@example.com", trialActive=True)),
    }
    assert heard == {("offer_unavailable", NEUTRAL)}
