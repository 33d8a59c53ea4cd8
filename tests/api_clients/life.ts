// A customer's life by the types that openapi-typescript makes of /openapi.json, with openapi-fetch.
// Run as `node life.js BASE_URL KEY`. It prints the address of the payment page, and goes on once it
// reads a line: by then it is paid.
import assert from "node:assert/strict";
import { createInterface } from "node:readline/promises";
import createClient from "openapi-fetch";
import type { paths } from "./billing.js";

const [baseUrl, key] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

function done<T>(answer: { data?: T; error?: unknown }): T {
  assert.ok(answer.data, JSON.stringify(answer.error));
  return answer.data;
}

const plans = done(await client.GET("/api/public/plans", {}));
assert.ok(plans.plans.length > 0);

const customer = { name: "Ada Lovelace", email: "ada@example.com" };
const page = done(
  await client.POST("/api/checkout/create-session", {
    body: { customer, planId: "starter", billingCycle: "monthly" },
  }),
);
console.log(page.url);
const lines = createInterface({ input: process.stdin });
await lines.question("");
lines.close();

const progress = done(
  await client.GET("/api/checkout/session/{session_id}", {
    params: { path: { session_id: page.sessionId }, query: { wait: 20 } },
  }),
);
assert.equal(progress.status, "active");

const path = { id: page.subscriptionId };
const shown = done(await client.GET("/api/billing/subscriptions/{id}", { params: { path } }));
const customerId = shown.subscription.customerId;
assert.ok(customerId);
const listed = done(
  await client.GET("/api/billing/subscriptions", { params: { query: { customerId } } }),
);
assert.deepEqual(listed.subscriptions.map((each) => each.id), [path.id]);

const wish = { planId: "premium", billingCycle: "monthly" as const };
const preview = done(
  await client.POST("/api/billing/subscriptions/{id}/preview-change", {
    params: { path },
    body: wish,
  }),
);
const changed = done(
  await client.POST("/api/billing/subscriptions/{id}/change-plan", {
    params: { path, header: { "Idempotency-Key": "life-change" } },
    body: { previewToken: preview.previewToken },
  }),
);
assert.equal(changed.subscription.planId, "premium");

const portal = done(
  await client.POST("/api/billing/portal-session", {
    body: { customerId, subscriptionId: path.id, flow: "payment_method_update" },
  }),
);
assert.ok(portal.url);

const { invoices } = done(
  await client.GET("/api/billing/invoices", { params: { query: { customerId } } }),
);
const paid = invoices.filter((each) => each.amountPaid).at(-1);
assert.ok(paid);
const refunded = done(
  await client.POST("/api/billing/invoices/{id}/refund", {
    params: { path: { id: paid.id } },
    body: { amount: 100 },
  }),
);
assert.equal(refunded.refund.amount, 100);

const ended = done(
  await client.POST("/api/billing/subscriptions/{id}/cancel", {
    params: { path },
    body: { reason: "too dear" },
  }),
);
assert.ok(ended.subscription.cancelAtPeriodEnd);
const resumed = done(
  await client.POST("/api/billing/subscriptions/{id}/resume", { params: { path }, body: {} }),
);
assert.ok(!resumed.subscription.cancelAtPeriodEnd);
console.log("lived");
