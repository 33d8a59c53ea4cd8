// Follows an order without reloading: each answer is held by the server until something moves.

const WAIT_SECONDS = 20;
const RETRY_MS = 2000;
const DOMAIN_MS = 3000;
const TRIES = 5;

const sessionId = new URLSearchParams(location.search).get("session_id") ?? "";
const error = document.querySelector("#error");
const status = document.querySelector("#status");

const SENTENCES = {
  provisional: "We are waiting for your payment.",
  pending: "Your payment has arrived. We are setting up your hosting.",
  active: "Everything is ready.",
  suspended: "Your hosting is suspended.",
  cancelled: "This subscription has ended.",
  expired: "This order was not paid in time.",
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
  failed: "could not be had",
};
const NEEDS = {
  name: "your name", email: "your e-mail address", phone: "your phone number",
  address1: "your street", city: "your city", postcode: "your postcode", country: "your country",
};
const MOVING = ["provisional", "pending"];
const MOVING_DOMAINS = ["paid", "registering", "transferring"];

function setStep(name, state, text) {
  const step = document.querySelector(`#step-${name}`);
  step.dataset.state = state;
  step.querySelector("span").textContent = text;
}

function showPayment({ status: state, paymentStatus }, order) {
  const paid = order !== "provisional" && order !== "expired";
  if (paid) setStep("payment", "done", paymentStatus === "no_payment_required" ? "nothing to pay today" : "received");
  else if (state === "expired") setStep("payment", "failed", "not paid in time");
  else setStep("payment", "active", state === "complete" ? "being confirmed" : "not received yet");
}

function showSubscription({ stripeStatus, status: state, planName }) {
  const shown = stripeStatus ? `${planName ?? "Plan"}, ${stripeStatus}` : "waiting for the payment";
  setStep("subscription", ["active", "pending"].includes(state) ? "done" : "active", shown);
  if (["expired", "cancelled", "suspended"].includes(state)) {
    setStep("subscription", "failed", state);
  }
}

function showTenant(tenant, { state, services }) {
  const ready = services.filter((service) => service.state === "active").length;
  const count = services.length ? ` (${ready} of ${services.length} services ready)` : "";
  if (state === "ready" && tenant) setStep("tenant", "done", `${tenant.domain} is ready`);
  else if (state === "in_progress") setStep("tenant", "active", `being set up${count}`);
  else setStep("tenant", "", state.replaceAll("_", " "));
}

const money = (amount, currency) => {
  const format = new Intl.NumberFormat("en", { style: "currency", currency });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
};
const day = (moment) => moment && new Date(moment).toLocaleDateString("en", { dateStyle: "long" });

// What the buyer has to do at their DNS provider before the domain itself is served.
function proofRows(proof) {
  return [
    ["Record to add", proof.recordName],
    ["Its type", proof.recordType],
    ["Its value", proof.recordValue],
    ["Or nameservers", proof.nameservers.join(", ")],
    ["What we saw", proof.missing ?? "not looked yet"],
  ];
}

function showDetails({ subscription, tenant, provisioning, domains }) {
  const rows = [
    ["Plan", subscription.planName ?? subscription.planId],
    ["Price", `${money(subscription.amount, subscription.currency)} ${subscription.billingCycle ?? ""}`],
    ["Free until", day(subscription.trialEnd)],
    ["Paid until", !subscription.trialEnd && day(subscription.currentPeriodEnd)],
    ["Tenant", tenant?.domain],
    ...domains.map((domain) => [domain.unicodeName, DOMAINS[domain.state]]),
    ...domains.filter((domain) => domain.proof).flatMap(({ proof }) => proofRows(proof)),
    ["Services", provisioning.services.map((service) => service.productType).join(", ")],
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

function lostNotice({ unicodeName }) {
  return element(
    "p", {}, element("strong", {}, unicodeName),
    " could not be had: somebody else was faster, or its registry refuses it. What you paid for it is refunded. Your plan"
      + " is as you ordered it. To choose another name, please contact us.",
  );
}

function dataNotice({ unicodeName, needs }) {
  const missing = needs.filter((need) => need in NEEDS).map((need) => NEEDS[need]);
  if (!missing.length) return [];
  const list = new Intl.ListFormat("en").format(missing);
  return [element(
    "p", {}, "To order ", element("strong", {}, unicodeName),
    `, its registrar needs ${list}. Please log in to mPanel and complete your contact details; we go on by ourselves.`,
  )];
}

function codeForm({ name, unicodeName }) {
  const id = `auth-code-${name}`;
  const input = element("input", { id, name: "authCode", required: true, autocomplete: "off", spellcheck: false });
  const problem = element("p", { className: "alert", role: "alert" });
  const form = element(
    "form", { className: "field" },
    element(
      "label", { htmlFor: id }, "To transfer ", element("strong", {}, unicodeName),
      ", we need its auth code. The registrar that has it now gives it to you.",
    ),
    input, problem, element("button", { className: "primary" }, "Send the code"),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      await handIn(name, input.value);
      form.replaceChildren("Thank you. We ask for the transfer now.");
    } catch (refusal) {
      problem.textContent = refusal.final ? refusal.message : "We cannot be reached just now.";
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
  error.textContent = "";
  status.textContent = SENTENCES[progress.status] ?? progress.status;
  document.body.dataset.status = progress.status;
  showPayment(progress.session, progress.status);
  showSubscription(progress.subscription);
  showTenant(progress.tenant, progress.provisioning);
  showDetails(progress);
  showNotices(progress.domains);
  const login = document.querySelector("#login");
  login.href = progress.loginUrl;
  login.hidden = progress.status !== "active";
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
  throw Object.assign(new Error(answer.error), { final: response.status < 500 });
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
      error.textContent = problem.final ? problem.message : "We cannot be reached just now; trying again.";
      if (!problem.final) await pause(RETRY_MS);
    }
  }
  status.textContent = "We could not follow your order. Reload this page to look again.";
}

if (sessionId) follow();
else {
  status.textContent = "";
  error.textContent = "The address of this page names no order.";
}
