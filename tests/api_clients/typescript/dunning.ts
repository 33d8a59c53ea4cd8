// A term is not paid, the services are suspended, and come back with the payment.
import assert from "node:assert/strict";
import { api, customer, done, invoices, look } from "./customer.js";

async function changeTheCard() {
  const flow = "payment_method_update" as const;
  const body = { customerId: customer.id, subscriptionId: customer.subscriptionId, flow };
  return done(await api.POST("/api/billing/portal-session", { body })).url;
}

async function bePastDue() {
  const { stripeStatus, dunning } = await look();
  assert.deepEqual([stripeStatus, dunning?.attemptCount], ["past_due", 1]);
  assert.ok(dunning?.nextAttemptAt && dunning.lastReason);
  const params = { path: { id: dunning.invoiceId } };
  const refused = await api.POST("/api/billing/invoices/{id}/pay", { params, body: {} });
  assert.equal(refused.error?.code, "card_declined");
}

async function access() {
  const { tenant } = await look();
  assert.ok(tenant);
  const params = { path: { id: tenant.id }, query: { customerId: customer.id } };
  const had = done(await api.GET("/api/billing/tenants/{id}/entitlements", { params }));
  return [had.entitlement.access, had.entitlement.reason];
}

async function beSuspended() {
  const { stripeStatus, dunning } = await look();
  assert.deepEqual([stripeStatus, dunning?.nextAttemptAt], ["unpaid", null]);
  assert.deepEqual(await access(), ["suspended", "unpaid"]);
  const [owed, ...others] = await invoices("open");
  assert.deepEqual([owed.id, others], [dunning?.invoiceId, []]);
  assert.ok(owed.hostedInvoiceUrl);
  return owed.hostedInvoiceUrl;
}

async function beServedAgain() {
  const { stripeStatus, dunning } = await look();
  assert.deepEqual([stripeStatus, dunning], ["active", null]);
  assert.deepEqual(await access(), ["active", null]);
}

export const STEPS = {
  change_the_card: changeTheCard,
  be_past_due: bePastDue,
  be_suspended: beSuspended,
  be_served_again: beServedAgain,
};
