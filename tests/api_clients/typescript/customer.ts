// Whose life it is, and how their backend asks: by the types that openapi-typescript makes.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./billing.js";

const [baseUrl, key] = process.argv.slice(2);
export const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });

// The ids that the API gave to the customer and their subscription.
export const customer = { id: "", sessionId: "", subscriptionId: "" };

export function done<T>(answer: { data?: T; error?: unknown }): T {
  assert.ok(answer.data, JSON.stringify(answer.error));
  return answer.data;
}

// Of an operation of the subscription.
export function ofIt() {
  return { path: { id: customer.subscriptionId } };
}

export async function look() {
  const params = ofIt();
  return done(await api.GET("/api/billing/subscriptions/{id}", { params })).subscription;
}

// The invoices with a status, the newest first.
export async function invoices(status: "open" | "paid") {
  const query = { customerId: customer.id, status };
  return done(await api.GET("/api/billing/invoices", { params: { query } })).invoices;
}

export function sum(amounts: number[]): number {
  return amounts.reduce((before, amount) => before + amount, 0);
}
