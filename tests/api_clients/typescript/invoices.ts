// Invoices are read, given back, made by hand and paid; a dispute is answered.
import assert from "node:assert/strict";
import { api, customer, done, invoices, sum } from "./customer.js";

const WHY = { reason: "ticket 4711" };

async function ofLatestPaid() {
  const [latest] = await invoices("paid");
  return { path: { id: latest.id } };
}

async function readAnInvoice() {
  const params = await ofLatestPaid();
  const query = { customerId: customer.id };
  const { invoice } = done(
    await api.GET("/api/billing/invoices/{id}", { params: { ...params, query } }),
  );
  const shown = done(await api.GET("/api/billing/invoices/{id}/details", { params }));
  assert.deepEqual(shown.invoice, invoice);
  assert.equal(sum(shown.lines.map((each) => each.amount)), shown.subtotal);
  assert.equal(shown.total, shown.subtotal - shown.discount + shown.tax);
  assert.equal(shown.total, invoice.amountInvoiced);
  assert.deepEqual(shown.attempts.map((each) => each.status), ["succeeded"]);
  assert.ok(done(await api.GET("/api/billing/invoices/{id}/pdf", { params })).url);
}

async function beRefunded() {
  const params = await ofLatestPaid();
  const body = { amount: 100 };
  const preview = done(
    await api.POST("/api/billing/invoices/{id}/preview-refund", { params, body }),
  );
  const { invoice, refund } = done(
    await api.POST("/api/billing/invoices/{id}/refund", { params, body }),
  );
  assert.equal(invoice.amountPaid - invoice.amountRefunded, preview.left);
  const { refunds } = done(await api.GET("/api/billing/invoices/{id}/refunds", { params }));
  assert.deepEqual(refunds.map((each) => [each.id, each.amount]), [[refund.id, 100]]);
}

async function beCredited() {
  const params = await ofLatestPaid();
  const body = { amount: 100, to: "balance" as const, memo: "For the outage of Monday." };
  const preview = done(
    await api.POST("/api/billing/invoices/{id}/preview-credit-note", { params, body }),
  );
  const { creditNote } = done(
    await api.POST("/api/billing/invoices/{id}/credit-notes", { params, body }),
  );
  assert.deepEqual([preview.amount, creditNote.amountToBalance], [100, 100]);
  const { creditNotes } = done(
    await api.GET("/api/billing/invoices/{id}/credit-notes", { params }),
  );
  assert.deepEqual(creditNotes.map((each) => each.id), [creditNote.id]);
}

async function draft(key: string, more: { daysUntilDue?: number; memo?: string } = {}) {
  const lines = [{ description: "Migration of the shop", unitAmount: 4900 }];
  const made = done(
    await api.POST("/api/billing/invoices", {
      params: { header: { "Idempotency-Key": key } },
      body: { customerId: customer.id, currency: "usd", lines, ...more },
    }),
  );
  assert.equal(made.total, 4900);
  return { path: { id: made.invoice.id } };
}

async function beBilledByHand() {
  const mistaken = { params: await draft("first"), body: WHY };
  assert.ok(done(await api.POST("/api/billing/invoices/{id}/delete", mistaken)).changed);
  const wanted = { params: await draft("second"), body: WHY };
  const { invoice } = done(await api.POST("/api/billing/invoices/{id}/finalize", wanted));
  assert.deepEqual([invoice.status, invoice.amountInvoiced], ["paid", 4900]);
}

// Send the customer an invoice, which nobody has paid yet.
async function send(why: string) {
  const params = await draft(why.replaceAll(" ", "-"), { daysUntilDue: 14, memo: why });
  const { invoice } = done(
    await api.POST("/api/billing/invoices/{id}/finalize", { params, body: WHY }),
  );
  assert.deepEqual([invoice.status, invoice.amountRemaining], ["open", 4900]);
  return params;
}

async function oweNothing() {
  const mistaken = { params: await send("a mistake"), body: WHY };
  const voided = done(await api.POST("/api/billing/invoices/{id}/void", mistaken));
  assert.equal(voided.invoice.status, "void");
  const lost = { params: await send("never paid"), body: WHY };
  const givenUp = done(await api.POST("/api/billing/invoices/{id}/mark-uncollectible", lost));
  assert.equal(givenUp.invoice.status, "uncollectible");
}

async function payInEachWay(anotherCard: string) {
  const now = { params: await send("paid now"), body: {} };
  const other = {
    params: await send("paid with another card"),
    body: { paymentMethodId: anotherCard, reason: "asked by phone" },
  };
  for (const each of [now, other]) {
    const paid = done(await api.POST("/api/billing/invoices/{id}/pay", each));
    assert.deepEqual([paid.changed, paid.invoice.status], [true, "paid"]);
  }
  const params = await send("paid by bank transfer");
  const body = { reason: "seen on our account" };
  const noted = done(await api.POST("/api/billing/invoices/{id}/mark-paid", { params, body }));
  assert.deepEqual([noted.changed, noted.invoice.status], [true, "paid"]);
}

async function balance(): Promise<number> {
  const params = { query: { customerId: customer.id } };
  const { balances } = done(await api.GET("/api/billing/balance", { params }));
  return sum(balances.map((each) => each.balance));
}

async function haveABalance() {
  const before = await balance();
  const payer = { customerId: customer.id, currency: "usd", amount: 500 };
  const body = { ...payer, move: "add" as const, reason: "For the outage of Monday." };
  const preview = done(await api.POST("/api/billing/preview-balance", { body }));
  assert.deepEqual([preview.before.balance, preview.after.balance], [before, before - 500]);
  const params = { header: { "Idempotency-Key": "outage" } };
  const added = done(await api.POST("/api/billing/balance", { params, body }));
  assert.deepEqual([added.balance.balance, await balance()], [before - 500, before - 500]);
  const taken = done(
    await api.POST("/api/billing/balance", {
      body: { ...payer, move: "take", reason: "A mistake." },
    }),
  );
  assert.equal(taken.balance.balance, before);
}

async function answerTheDispute() {
  const query = { customerId: customer.id, open: true };
  const { disputes } = done(await api.GET("/api/billing/disputes", { params: { query } }));
  assert.deepEqual(disputes.map((each) => each.status), ["needs_response"]);
  const params = { path: { id: disputes[0].id } };
  const fields = { uncategorized_text: "The customer asked for it." };
  const staged = done(
    await api.POST("/api/billing/disputes/{id}/evidence", { params, body: { fields } }),
  );
  assert.ok(!staged.submitted);
  const sent = done(
    await api.POST("/api/billing/disputes/{id}/evidence", {
      params,
      body: { fields, submit: true },
    }),
  );
  assert.ok(sent.submitted);
  const { dispute } = done(await api.GET("/api/billing/disputes/{id}", { params }));
  assert.equal(dispute.evidence, "submitted");
}

export const STEPS = {
  read_an_invoice: readAnInvoice,
  be_refunded: beRefunded,
  be_credited: beCredited,
  be_billed_by_hand: beBilledByHand,
  owe_nothing: oweNothing,
  pay_in_each_way: payInEachWay,
  have_a_balance: haveABalance,
  answer_the_dispute: answerTheDispute,
};
