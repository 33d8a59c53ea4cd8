// Follows an order without reloading: each answer is held by the server until something moves.

import { forgetUnpaid, recallUnpaid } from "./unpaid.js";
import { CONTACT, day, locale, moneyIn, priceIn, say, sayAnswer, translatePage } from "./words.js";

const WAIT_SECONDS = 20;
const RETRY_MS = 2000;
const DOMAIN_MS = 3000;
const TRIES = 5;
const SLOW_MS = 60_000;

const sessionId = new URLSearchParams(location.search).get("session_id") ?? "";
const error = document.querySelector("#error");
const status = document.querySelector("#status");
const slow = document.querySelector("#slow");

const SENTENCES = {
  provisional: "We are waiting for your payment.",
  pending: "Your payment has arrived. We are setting up your hosting.",
  active: "Everything is ready.",
  suspended: "Your hosting is suspended.",
  cancelled: "This subscription has ended.",
  expired: "This order was not paid in time. Nothing was charged.",
};
const HEADLINES = { pending: "Thank you", active: "Thank you", expired: "Not paid in time" };
const TENANTS = {
  awaiting_payment: "waiting",
  ready: "being set up",
  suspended: "suspended",
  ended: "cancelled",
  not_ordered: "not paid in time",
};
const TERMS = {
  monthly: "monthly",
  quarterly: "quarterly",
  "semi-annually": "every six months",
  annually: "yearly",
  biennially: "every two years",
  triennially: "every three years",
};
const DOMAINS = {
  ordered: "ordered",
  paid: "paid, being ordered",
  registering: "being registered",
  transferring: "being transferred",
  verifying: "please show that it is yours",
  active: "yours",
  renewing: "yours, being renewed",
  expired: "expired",
  redemption: "expired; it can still be had back",
  transferred_out: "moved to another registrar",
  released: "given up",
  failed: "could not be obtained",
};
const NEEDS = {
  name: "your name", email: "your e-mail address", phone: "your phone number",
  address1: "your street", city: "your city", postcode: "your postcode", country: "your country",
};
const TRIAL_BEGUN = "Your trial has begun. We are setting up your hosting.";
const SLOW = "This takes longer than usual. You may close this page: we go on, and its address shows how far it is. If you write to {contact}, give the order number {order}.";
const MOVING = ["provisional", "pending"];
const MOVING_DOMAINS = ["paid", "registering", "transferring"];

function setStep(name, state, text) {
  const step = document.querySelector(`#step-${name}`);
  step.dataset.state = state;
  step.querySelector("span").textContent = text;
}

function showPayment({ status: state, paymentStatus, amountPaid }, order, currency) {
  const paid = order !== "provisional" && order !== "expired";
  if (paid) setStep("payment", "done", receivedText(paymentStatus, amountPaid, currency));
  else if (state === "expired") setStep("payment", "failed", say("not paid in time"));
  else setStep("payment", "active", say(state === "complete" ? "being confirmed" : "not received yet"));
}

function receivedText(paymentStatus, amountPaid, currency) {
  if (paymentStatus === "no_payment_required") return say("nothing to pay today");
  return amountPaid ? say("{amount} received", { amount: moneyIn(currency)(amountPaid) }) : say("received");
}

function showSubscription({ stripeStatus, status: state, planName }) {
  const shown = stripeStatus ? `${planName ?? say("Plan")}, ${say(stripeStatus)}` : say("waiting for the payment");
  setStep("subscription", ["active", "pending"].includes(state) ? "done" : "active", shown);
  if (["expired", "cancelled", "suspended"].includes(state)) {
    setStep("subscription", "failed", say(state));
  }
}

function showTenant(tenant, { state, services }) {
  const ready = services.filter((service) => service.state === "active").length;
  const counted = { ready, all: services.length };
  const doing = counted.all ? "being set up ({ready} of {all} services ready)" : "being set up";
  if (state === "ready" && tenant) setStep("tenant", "done", say("{domain} is ready", tenant));
  else if (state === "in_progress") setStep("tenant", "active", say(doing, counted));
  else setStep("tenant", "", say(TENANTS[state]));
}

// What the buyer has to do at their DNS provider before the domain itself is served.
function proofRows(proof) {
  return [
    [say("Record to add"), proof.recordName],
    [say("Its type"), proof.recordType],
    [say("Its value"), proof.recordValue],
    [say("Or nameservers"), proof.nameservers.join(", ")],
    [say("What we saw"), proof.missing ? sayAnswer(proof.missing) : say("not looked yet")],
  ];
}

// A domain with umlauts as its buyer wrote it.
function readable(tenant, domains) {
  const named = domains.find(({ name }) => name === tenant?.domain);
  return named ? { ...tenant, domain: named.unicodeName } : tenant;
}

function showDetails({ session, subscription, tenant, provisioning, domains }) {
  const money = moneyIn(subscription.currency);
  const term = TERMS[subscription.billingCycle];
  const rows = [
    [say("Order"), subscription.id],
    [say("Plan"), subscription.planName ?? subscription.planId],
    [say("Paid"), session.amountPaid && money(session.amountPaid)],
    [say("Price"), `${priceIn(subscription.currency)(subscription.amount)} ${term ? say(term) : ""}`],
    [say("Free until"), day(subscription.trialEnd)],
    [say("Paid until"), !subscription.trialEnd && day(subscription.currentPeriodEnd)],
    [say("Tenant"), readable(tenant, domains)?.domain],
    ...domains.map((domain) => [domain.unicodeName, say(DOMAINS[domain.state])]),
    ...domains.filter((domain) => domain.proof).flatMap(({ proof }) => proofRows(proof)),
    [say("Services"), provisioning.services.map((service) => service.productType).join(", ")],
  ].filter(([, value]) => value);
  const list = document.querySelector("#details");
  list.replaceChildren(
    ...rows.flatMap(([name, value]) => {
      const [term, description] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      description.textContent = value;
      return [term, description];
    }),
  );
  list.hidden = false;
}

function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

// A sentence with elements in the places of some of its names.
function around(text, elements, values = {}) {
  const parts = say(text, values).split(/\{(\w+)\}/);
  return parts.map((part, place) => (place % 2 ? elements[part] : part));
}

const bold = (text) => element("strong", {}, text);
const sentence = (...said) => element("p", {}, ...around(...said));

// Where to write, with the order in the subject.
function contactLink() {
  const subject = order ? `?subject=${encodeURIComponent(`${say("Order")} ${order}`)}` : "";
  return element("a", { href: `mailto:${CONTACT}${subject}` }, CONTACT);
}

function lostNotice({ unicodeName }) {
  return sentence(
    "{domain} could not be obtained: somebody else was faster, or its registry refuses it. What you paid for it is refunded. Your plan is as you ordered it. To choose another name, please write to {contact}.",
    { domain: bold(unicodeName), contact: contactLink() },
  );
}

function dataNotice({ unicodeName, needs }) {
  const missing = needs.filter((need) => need in NEEDS).map((need) => say(NEEDS[need]));
  if (!missing.length) return [];
  const fields = new Intl.ListFormat(locale).format(missing);
  return [sentence(
    "To order {domain}, its registrar needs {fields}. Please log in to mPanel and complete your contact details; we go on by ourselves.",
    { domain: bold(unicodeName) }, { fields },
  )];
}

function codeForm({ name, unicodeName }) {
  const id = `auth-code-${name}`;
  const input = element("input", { id, name: "authCode", required: true, autocomplete: "off", spellcheck: false });
  const problem = element("p", { className: "alert", role: "alert" });
  const form = element(
    "form", { className: "field" },
    element("label", { htmlFor: id }, ...around(
      "To transfer {domain}, we need its auth code. The registrar that has it now gives it to you.", { domain: bold(unicodeName) },
    )),
    input, problem, element("button", { className: "primary" }, say("Send the code")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      await handIn(name, input.value);
      form.replaceChildren(say("Thank you. We ask for the transfer now."));
    } catch (refusal) {
      problem.textContent = refusal.final ? refusal.message : say("We cannot be reached just now.");
    }
  });
  return form;
}

function noticesOf(domain) {
  if (domain.state === "failed") return [lostNotice(domain)];
  const asks = domain.needs.includes("auth_code") ? [codeForm(domain)] : [];
  return [...asks, ...dataNotice(domain)];
}

let noticed = "[]";

// drawn again only when something has changed, so that nobody loses what they type
function showNotices(domains) {
  const now = JSON.stringify(domains.map(({ name, state, needs }) => [name, state === "failed", needs]));
  if (now === noticed) return;
  noticed = now;
  const notices = domains.flatMap(noticesOf);
  const section = document.querySelector("#domain-notices");
  section.replaceChildren(...notices);
  section.hidden = !notices.length;
}

function show(progress) {
  order = progress.subscription.id;
  error.textContent = "";
  const begun = progress.status === "pending" && progress.subscription.stripeStatus === "trialing";
  status.textContent = say(begun ? TRIAL_BEGUN : SENTENCES[progress.status]);
  document.querySelector("#headline").textContent = say(HEADLINES[progress.status] ?? "Your order");
  document.body.dataset.status = progress.status;
  showWaysOn(progress);
  showPayment(progress.session, progress.status, progress.subscription.currency);
  showSubscription(progress.subscription);
  showTenant(readable(progress.tenant, progress.domains), progress.provisioning);
  showDetails(progress);
  showNotices(progress.domains);
  slow.hidden ||= !MOVING.includes(progress.status);
}

// What there is to do next: log in, pay after all, or order again.
function showWaysOn({ status: state, session, loginUrl }) {
  const [login, goOn] = [document.querySelector("#login"), document.querySelector("#go-on")];
  login.href = loginUrl;
  login.hidden = state !== "active";
  const unpaid = recallUnpaid();
  const isKept = unpaid?.sessionId === sessionId;
  if (isKept && session.status !== "open") forgetUnpaid();
  const isPayable = state === "provisional" && session.status === "open";
  goOn.hidden = !isPayable || !isKept;
  if (!goOn.hidden) goOn.href = unpaid.url;
  // the address of the payment page is the buyer's own: who has only this page's is not given it
  document.querySelector("#elsewhere").hidden = !isPayable || isKept;
  document.querySelector("#order-again").hidden = state !== "expired" && !(isPayable && !isKept);
}

let order;

function showSlow() {
  if (!order || !MOVING.includes(document.body.dataset.status)) return;
  slow.replaceChildren(...around(SLOW, { contact: contactLink() }, { order }));
  slow.hidden = false;
}

const ask = (wait) => call(`?wait=${wait}`);
const handIn = (domain, authCode) =>
  call("/auth-code", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ domain, authCode }),
  });
const pause = (duration) => new Promise((resume) => setTimeout(resume, duration));

async function call(path, options) {
  const address = `/api/checkout/session/${encodeURIComponent(sessionId)}${path}`;
  const response = await fetch(address, { credentials: "include", ...options });
  const answer = await response.json();
  if (response.ok) return answer;
  throw Object.assign(new Error(sayAnswer(answer.error)), { final: response.status < 500 });
}

async function follow() {
  let wait = 0;
  let failures = 0;
  while (failures < TRIES) {
    try {
      const progress = await ask(wait);
      show(progress);
      [wait, failures] = [WAIT_SECONDS, 0];
      if (MOVING.includes(progress.status)) continue;
      if (!progress.domains.some(({ state }) => MOVING_DOMAINS.includes(state))) return;
      await pause(DOMAIN_MS); // the order itself is done: the server holds no answer back
    } catch (problem) {
      failures = problem.final ? TRIES : failures + 1;
      error.textContent = problem.final ? problem.message : say("We cannot be reached just now; trying again.");
      if (!problem.final) await pause(RETRY_MS);
    }
  }
  status.textContent = say("We could not follow your order. Reload this page to look again.");
  document.querySelector(".steps").hidden = !order; // nothing waits that nobody knows
}

translatePage();
if (sessionId) {
  follow();
  setTimeout(showSlow, SLOW_MS);
} else {
  status.textContent = "";
  error.textContent = say("The address of this page names no order.");
}
