// Who the customer is in mPanel, what they log in with, and what else is theirs.
import assert from "node:assert/strict";
import { api, customer, done } from "./customer.js";

async function getAccessData() {
  const hosting = { path: { id: customer.subscriptionId, product_type: "hosting" } };
  const path = "/api/billing/subscriptions/{id}/services/{product_type}/access-data";
  const given = done(await api.POST(path, { params: hosting, body: {} }));
  assert.equal(given.userName, "ada-7f3");
  const again = await api.POST(path, { params: hosting, body: {} });
  assert.ok(again.error, "it is handed out once");
}

async function reportUsage(metered: string) {
  const timestamp = new Date().toISOString();
  const record = { id: "life-1", subscriptionId: metered, meter: "traffic_gb", quantity: 30, timestamp };
  for (const status of ["stored", "duplicate"]) {
    const body = { records: [record] };
    const { results } = done(await api.POST("/api/billing/usage", { body }));
    assert.equal(results[0].status, status);
  }
  const params = { path: { id: metered } };
  const { usage } = done(await api.GET("/api/billing/subscriptions/{id}/usage", { params }));
  assert.deepEqual(usage.map((each) => [each.meter, each.quantity]), [["traffic_gb", 30]]);
  const more = { ...record, id: "life-2", quantity: 4970 };
  done(await api.POST("/api/billing/usage", { body: { records: [more] } }));
  const path = "/api/billing/subscriptions/{id}/lift-usage-limit";
  const lifted = done(await api.POST(path, { params, body: { reason: "a launch" } }));
  assert.deepEqual(lifted.meters, ["traffic_gb"]);
  return metered;
}

async function beOnePerson(other: string) {
  const theirOther = { path: { id: other } };
  const second = done(await api.GET("/api/billing/subscriptions/{id}", { params: theirOther }));
  assert.ok(second.subscription.customerId);
  const params = { path: { id: second.subscription.customerId } };
  const body = { intoCustomerId: customer.id };
  const merged = done(await api.POST("/api/billing/customers/{id}/merge", { params, body }));
  assert.equal(merged.customerId, customer.id);
  assert.deepEqual(await theirs(), [customer.subscriptionId, other].sort());
  done(await api.POST("/api/billing/customers/{id}/undo-merge", { params, body: {} }));
  assert.deepEqual(await theirs(), [customer.subscriptionId]);
}

async function theirs() {
  const params = { query: { customerId: customer.id } };
  const listed = done(await api.GET("/api/billing/subscriptions", { params })).subscriptions;
  return listed.map((each) => each.id).sort();
}

async function haveAnAccount(account: string) {
  const params = { path: { id: customer.id } };
  const body = { accountId: account };
  const linked = done(await api.POST("/api/billing/customers/{id}/link-user", { params, body }));
  assert.equal(linked.customerId, customer.id);
}

export const STEPS = {
  get_access_data: getAccessData,
  report_usage: reportUsage,
  be_one_person: beOnePerson,
  have_an_account: haveAnAccount,
};
