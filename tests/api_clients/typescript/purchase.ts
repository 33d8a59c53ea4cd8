// The plan is chosen, ordered, tried and paid.
import assert from "node:assert/strict";
import { api, customer, done, look, ofIt } from "./customer.js";

export const BACKUPS = "addon-backups-daily";
const WISH = {
  planId: "starter",
  billingCycle: "monthly",
  trialActive: true,
  addonIds: [BACKUPS],
  quantities: { [BACKUPS]: 2 },
};

async function choose() {
  const { plans } = done(await api.GET("/api/public/plans", {}));
  assert.ok(plans.some((each) => each.id === "starter"));
  const quote = done(await api.POST("/api/checkout/quote", { body: WISH }));
  assert.equal(quote.dueToday, 0);
  assert.ok(quote.dueAfterTrial);
  assert.deepEqual(quote.lines.map((each) => each.quantity), [1, 2]);
}

async function order() {
  const body = { ...WISH, customer: { name: "Ada Lovelace", email: "ada@example.com" } };
  const page = done(await api.POST("/api/checkout/create-session", { body }));
  customer.sessionId = page.sessionId;
  customer.subscriptionId = page.subscriptionId;
  return page.url;
}

async function beginTheTrial() {
  const params = { path: { session_id: customer.sessionId }, query: { wait: 20 } };
  const progress = done(await api.GET("/api/checkout/session/{session_id}", { params }));
  assert.equal(progress.status, "active");
  const shown = await look();
  assert.deepEqual([shown.stripeStatus, shown.status], ["trialing", "active"]);
  assert.ok(shown.customerId && shown.tenant);
  customer.id = shown.customerId;
  const mine = { params: { query: { customerId: customer.id } } };
  const listed = done(await api.GET("/api/billing/subscriptions", mine)).subscriptions;
  assert.deepEqual(listed.map((each) => each.id), [customer.subscriptionId]);
  const tenant = { params: { path: { id: shown.tenant.id } } };
  const had = done(await api.GET("/api/billing/tenants/{id}/entitlements", tenant)).entitlement;
  assert.deepEqual([had.access, had.until], ["active", shown.trialEnd]);
  const me = { params: { path: { id: customer.id } } };
  const all = done(await api.GET("/api/billing/customers/{id}/entitlements", me)).entitlements;
  assert.deepEqual(all.map((each) => each.tenantId), [shown.tenant.id]);
}

async function extendTheTrial() {
  const { trialEnd } = await look();
  assert.ok(trialEnd);
  const later = new Date(Date.parse(trialEnd) + 7 * 86_400_000);
  const body = { endsAt: later.toISOString() };
  const preview = done(
    await api.POST("/api/billing/subscriptions/{id}/preview-trial", { params: ofIt(), body }),
  );
  assert.equal(preview.dueNow, 0);
  const extended = done(
    await api.POST("/api/billing/subscriptions/{id}/trial", {
      params: ofIt(),
      body: { ...body, reason: "asks for a week more" },
    }),
  );
  assert.equal(Date.parse(extended.subscription.trialEnd ?? ""), later.getTime());
}

async function endTheTrial() {
  const preview = done(
    await api.POST("/api/billing/subscriptions/{id}/preview-trial", { params: ofIt(), body: {} }),
  );
  assert.ok(preview.dueNow > 0);
  const { subscription } = done(
    await api.POST("/api/billing/subscriptions/{id}/trial", {
      params: ofIt(),
      body: { reason: "is convinced" },
    }),
  );
  assert.deepEqual([subscription.stripeStatus, subscription.amount], ["active", preview.dueNow]);
}

export const STEPS = {
  choose,
  order,
  begin_the_trial: beginTheTrial,
  extend_the_trial: extendTheTrial,
  end_the_trial: endTheTrial,
};
