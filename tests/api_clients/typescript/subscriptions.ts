// The subscription is changed, charged, cancelled, kept, paused and ended.
import assert from "node:assert/strict";
import { api, customer, done, look, ofIt, sum } from "./customer.js";
import { BACKUPS } from "./purchase.js";

async function preview(planId: string, more: { quantities?: Record<string, number> } = {}) {
  return done(
    await api.POST("/api/billing/subscriptions/{id}/preview-change", {
      params: ofIt(),
      body: { planId, billingCycle: "monthly", ...more },
    }),
  );
}

async function change(previewToken: string, key?: string) {
  return done(
    await api.POST("/api/billing/subscriptions/{id}/change-plan", {
      params: { ...ofIt(), header: { "Idempotency-Key": key } },
      body: { previewToken },
    }),
  ).subscription;
}

async function changeThePlan() {
  const { dueNow, effectiveAt, previewToken } = await preview("premium");
  assert.deepEqual([dueNow > 0, effectiveAt], [true, null]);
  for (let time = 0; time < 2; time += 1) {
    assert.equal((await change(previewToken, "life-change")).planId, "premium");
  }
}

async function planADowngradeAndUndoIt() {
  const { dueNow, effectiveAt, previewToken } = await preview("starter");
  assert.deepEqual([dueNow, effectiveAt], [0, (await look()).currentPeriodEnd]);
  assert.equal((await change(previewToken)).plannedChange?.planId, "starter");
  const undone = done(
    await api.POST("/api/billing/subscriptions/{id}/undo-change", { params: ofIt(), body: {} }),
  );
  assert.equal(undone.subscription.plannedChange, null);
}

async function haveMoreOfAnAddon() {
  const { dueNow, previewToken } = await preview("premium", { quantities: { [BACKUPS]: 3 } });
  assert.ok(dueNow > 0);
  const { items } = await change(previewToken);
  const quantities = new Map(items.map((each) => [each.productId, each.quantity]));
  assert.deepEqual([quantities.get("premium"), quantities.get(BACKUPS)], [1, 3]);
}

async function upcoming(): Promise<number> {
  const params = ofIt();
  const next = await api.GET("/api/billing/subscriptions/{id}/upcoming-invoice", { params });
  const invoice = done(next).upcomingInvoice;
  assert.ok(invoice);
  return invoice.amountDue;
}

async function beChargedOnce() {
  const before = await upcoming();
  const body = { description: "Migration of the shop", unitAmount: 4900 };
  const previewed = done(
    await api.POST("/api/billing/subscriptions/{id}/preview-charge", { params: ofIt(), body }),
  );
  assert.equal(previewed.upcomingInvoice?.amountDue, before + 4900);
  const { charge } = done(
    await api.POST("/api/billing/subscriptions/{id}/charges", { params: ofIt(), body }),
  );
  assert.equal(await upcoming(), before + 4900);
  const withdrawn = done(
    await api.POST("/api/billing/subscriptions/{id}/charges/{charge_id}/withdraw", {
      params: { path: { id: customer.subscriptionId, charge_id: charge.id } },
      body: {},
    }),
  );
  assert.ok(withdrawn.changed);
  const params = ofIt();
  const { charges } = done(
    await api.GET("/api/billing/subscriptions/{id}/charges", { params }),
  );
  assert.deepEqual(charges, []);
}

async function haveACoupon() {
  const params = ofIt();
  const check = "/api/billing/subscriptions/{id}/preview-apply-coupon";
  const wrong = done(await api.POST(check, { params, body: { couponCode: "NONSENSE" } }));
  assert.ok(!wrong.valid);
  const checked = done(await api.POST(check, { params, body: { couponCode: "FIFTH" } }));
  assert.deepEqual([checked.valid, checked.coupon?.percentOff], [true, 20]);
  const { nextTotal, nextTotalThen } = checked.preview ?? {};
  assert.ok(nextTotal && nextTotalThen && nextTotalThen < nextTotal);
  const { subscription } = done(
    await api.POST("/api/billing/subscriptions/{id}/apply-coupon", {
      params,
      body: { couponCode: "FIFTH", reason: "a good customer" },
    }),
  );
  assert.deepEqual(subscription.discounts.map((each) => each.coupon), ["FIFTH"]);
  const body = { coupon: "FIFTH" };
  const lost = done(
    await api.POST("/api/billing/subscriptions/{id}/preview-remove-coupon", { params, body }),
  );
  assert.equal(lost.preview.nextTotalThen, nextTotal);
  done(await api.POST("/api/billing/subscriptions/{id}/remove-coupon", { params, body }));
  const { redemptions } = done(
    await api.GET("/api/billing/customers/{id}/redemptions", {
      params: { path: { id: customer.id } },
    }),
  );
  assert.ok(redemptions.some((each) => each.couponCode === "FIFTH"));
}

async function cancel(body: { reason?: string; feedback?: "too_expensive" }) {
  return done(
    await api.POST("/api/billing/subscriptions/{id}/cancel", { params: ofIt(), body }),
  ).subscription;
}

async function resume() {
  return done(
    await api.POST("/api/billing/subscriptions/{id}/resume", { params: ofIt(), body: {} }),
  ).subscription;
}

async function cancelAndResume() {
  const ending = await cancel({ reason: "too dear", feedback: "too_expensive" });
  assert.deepEqual([ending.cancelAtPeriodEnd, ending.nextCharge], [true, null]);
  assert.ok(!(await resume()).cancelAtPeriodEnd);
}

async function cancelAndTakeTheOffer() {
  await cancel({});
  const params = ofIt();
  const { offer } = done(
    await api.GET("/api/billing/subscriptions/{id}/retention-offer", { params }),
  );
  assert.deepEqual([offer?.coupon, offer?.percentOff], ["STAY", 10]);
  const { subscription } = done(
    await api.POST("/api/billing/subscriptions/{id}/take-offer", {
      params,
      body: { reason: "stays for less" },
    }),
  );
  assert.ok(!subscription.willEnd);
  assert.equal(subscription.nextCharge?.amount, offer?.nextCharge);
}

async function pause() {
  const params = ofIt();
  const previewed = done(
    await api.POST("/api/billing/subscriptions/{id}/preview-pause", { params, body: {} }),
  );
  assert.deepEqual([previewed.way, previewed.creditsUnusedTime], ["subscription", false]);
  const body = { reason: "no season" };
  const { subscription } = done(
    await api.POST("/api/billing/subscriptions/{id}/pause", { params, body }),
  );
  assert.deepEqual([subscription.stripeStatus, subscription.nextCharge], ["paused", null]);
}

async function resumeWithoutFunds() {
  const costs = done(
    await api.POST("/api/billing/subscriptions/{id}/preview-resume", { params: ofIt(), body: {} }),
  );
  assert.ok(sum(costs.lines.map((each) => each.amount)) > 0);
  assert.ok(costs.dueNow > 0);
  assert.equal((await resume()).stripeStatus, "past_due");
}

async function end() {
  const params = ofIt();
  const unusedTime = "credit" as const;
  const { at, refunded, credited } = done(
    await api.POST("/api/billing/subscriptions/{id}/preview-end", { params, body: { unusedTime } }),
  );
  assert.deepEqual([refunded, credited > 0], [0, true]);
  const { subscription } = done(
    await api.POST("/api/billing/subscriptions/{id}/end", {
      params,
      body: { unusedTime, at, refunded, credited, reason: "moves away" },
    }),
  );
  assert.deepEqual([subscription.stripeStatus, subscription.status], ["canceled", "cancelled"]);
}

export const STEPS = {
  change_the_plan: changeThePlan,
  plan_a_downgrade_and_undo_it: planADowngradeAndUndoIt,
  have_more_of_an_addon: haveMoreOfAnAddon,
  be_charged_once: beChargedOnce,
  have_a_coupon: haveACoupon,
  cancel_and_resume: cancelAndResume,
  cancel_and_take_the_offer: cancelAndTakeTheOffer,
  pause,
  resume_without_funds: resumeWithoutFunds,
  end,
};
