"""The subscription is changed, charged, cancelled, kept, paused and ended."""

from billing_client import models
from billing_client.api.billing import (
    billing_charges_get_charges,
    billing_charges_post_charge,
    billing_charges_post_preview,
    billing_charges_post_withdraw,
    billing_coupons_get_redemptions,
    billing_coupons_post_apply,
    billing_coupons_post_preview_apply,
    billing_coupons_post_preview_removal,
    billing_coupons_post_remove,
    billing_endings_get_offer,
    billing_endings_post_end,
    billing_endings_post_preview_end,
    billing_endings_post_take_offer,
    billing_new_invoices_get_next,
    billing_subscriptions_post_cancel,
    billing_subscriptions_post_change_plan,
    billing_subscriptions_post_pause,
    billing_subscriptions_post_preview,
    billing_subscriptions_post_preview_pause,
    billing_subscriptions_post_preview_resume,
    billing_subscriptions_post_resume,
    billing_subscriptions_post_undo_change,
)
from customer import Customer
from purchase import BACKUPS

MORE_BACKUPS = models.PreviewRequestQuantities.from_dict({BACKUPS: 3})


def change_the_plan(customer: Customer) -> None:
    wish = models.PreviewRequest(plan_id="premium", billing_cycle="monthly")
    preview = customer.do(billing_subscriptions_post_preview, wish)
    assert (preview.due_now > 0, preview.effective_at) == (True, None)
    agreed = models.ChangePlanRequest(preview_token=preview.preview_token)
    for _ in range(2):
        changed = customer.do(
            billing_subscriptions_post_change_plan, agreed, idempotency_key="life-change"
        )
        assert changed.subscription.plan_id == "premium"


def plan_a_downgrade_and_undo_it(customer: Customer) -> None:
    wish = models.PreviewRequest(plan_id="starter", billing_cycle="monthly")
    preview = customer.do(billing_subscriptions_post_preview, wish)
    assert (preview.due_now, preview.effective_at) == (0, customer.look().current_period_end)
    agreed = models.ChangePlanRequest(preview_token=preview.preview_token)
    planned = customer.do(billing_subscriptions_post_change_plan, agreed).subscription
    assert planned.planned_change.plan_id == "starter"
    undone = customer.do(billing_subscriptions_post_undo_change, models.UndoChangeRequest())
    assert undone.subscription.planned_change is None


def have_more_of_an_addon(customer: Customer) -> None:
    wish = models.PreviewRequest(
        plan_id="premium", billing_cycle="monthly", quantities=MORE_BACKUPS
    )
    preview = customer.do(billing_subscriptions_post_preview, wish)
    assert preview.due_now > 0
    agreed = models.ChangePlanRequest(preview_token=preview.preview_token)
    changed = customer.do(billing_subscriptions_post_change_plan, agreed).subscription
    assert {each.product_id: each.quantity for each in changed.items} == {"premium": 1, BACKUPS: 3}


def be_charged_once(customer: Customer) -> None:
    before = upcoming(customer)
    line = {"description": "Migration of the shop", "unitAmount": 4900}
    wish = models.PreviewChargeRequest.from_dict(line)
    preview = customer.do(billing_charges_post_preview, wish)
    assert preview.upcoming_invoice.amount_due == before + 4900
    charge = customer.do(billing_charges_post_charge, models.ChargeRequest.from_dict(line)).charge
    assert upcoming(customer) == before + 4900
    withdrawn = customer.do(
        billing_charges_post_withdraw, models.WithdrawChargeRequest(), charge_id=charge.id
    )
    assert withdrawn.changed
    assert customer.ask(billing_charges_get_charges, id=customer.subscription_id).charges == []


def upcoming(customer: Customer) -> int:
    response = customer.ask(billing_new_invoices_get_next, id=customer.subscription_id)
    return response.upcoming_invoice.amount_due


def have_a_coupon(customer: Customer) -> None:
    wrong = models.PreviewCouponRequest(coupon_code="NONSENSE")
    assert not customer.do(billing_coupons_post_preview_apply, wrong).valid
    checked = customer.do(
        billing_coupons_post_preview_apply, models.PreviewCouponRequest(coupon_code="FIFTH")
    )
    assert (checked.valid, checked.coupon.percent_off) == (True, 20)
    assert checked.preview.next_total_then < checked.preview.next_total
    given = models.ApplyCouponRequest(coupon_code="FIFTH", reason="a good customer")
    had = customer.do(billing_coupons_post_apply, given).subscription
    assert [each.coupon for each in had.discounts] == ["FIFTH"]
    lost = customer.do(
        billing_coupons_post_preview_removal, models.PreviewRemovalRequest(coupon="FIFTH")
    )
    assert lost.preview.next_total_then == checked.preview.next_total
    customer.do(billing_coupons_post_remove, models.RemoveCouponRequest(coupon="FIFTH"))
    redeemed = customer.ask(billing_coupons_get_redemptions, id=customer.id).redemptions
    assert "FIFTH" in [each.coupon_code for each in redeemed]


def cancel_and_resume(customer: Customer) -> None:
    wish = models.CancelRequest(reason="too dear", feedback="too_expensive")
    ending = customer.do(billing_subscriptions_post_cancel, wish).subscription
    assert (ending.cancel_at_period_end, ending.next_charge) == (True, None)
    back = customer.do(billing_subscriptions_post_resume, models.ResumeRequest()).subscription
    assert not back.cancel_at_period_end


def cancel_and_take_the_offer(customer: Customer) -> None:
    customer.do(billing_subscriptions_post_cancel, models.CancelRequest())
    offer = customer.ask(billing_endings_get_offer, id=customer.subscription_id).offer
    assert (offer.coupon, offer.percent_off) == ("STAY", 10)
    stays = customer.do(
        billing_endings_post_take_offer, models.TakeOfferRequest(reason="stays for less")
    ).subscription
    assert not stays.will_end
    assert stays.next_charge.amount == offer.next_charge


def pause(customer: Customer) -> None:
    preview = customer.do(billing_subscriptions_post_preview_pause, models.PreviewPauseRequest())
    assert (preview.way, preview.credits_unused_time) == ("subscription", False)
    wish = models.PauseRequest(reason="no season")
    paused = customer.do(billing_subscriptions_post_pause, wish).subscription
    assert (paused.stripe_status, paused.next_charge) == ("paused", None)


def resume_without_funds(customer: Customer) -> None:
    costs = customer.do(billing_subscriptions_post_preview_resume, models.ResumeRequest())
    assert sum(each.amount for each in costs.lines) > 0
    assert costs.due_now > 0
    back = customer.do(billing_subscriptions_post_resume, models.ResumeRequest()).subscription
    assert back.stripe_status == "past_due"


def end(customer: Customer) -> None:
    wish = {"unusedTime": "credit"}
    preview = customer.do(
        billing_endings_post_preview_end, models.PreviewEndRequest.from_dict(wish)
    )
    assert (preview.refunded, preview.credited > 0) == (0, True)
    agreed = models.EndRequest.from_dict(
        wish
        | {"at": preview.at.isoformat(), "reason": "moves away"}
        | {"refunded": preview.refunded, "credited": preview.credited}
    )
    ended = customer.do(billing_endings_post_end, agreed).subscription
    assert (ended.stripe_status, ended.status) == ("canceled", "cancelled")


STEPS = (
    change_the_plan,
    plan_a_downgrade_and_undo_it,
    have_more_of_an_addon,
    be_charged_once,
    have_a_coupon,
    cancel_and_resume,
    cancel_and_take_the_offer,
    pause,
    resume_without_funds,
    end,
)
