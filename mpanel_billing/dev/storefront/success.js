// Follows an order without reloading: each answer is held by the server until something moves.

const WAIT_SECONDS = 20;
const RETRY_MS = 2000;
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
  released: "given up",
  failed: "not available; what it cost is refunded",
};
const MOVING = ["provisional", "pending"];

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

function show(progress) {
  error.textContent = "";
  status.textContent = SENTENCES[progress.status] ?? progress.status;
  document.body.dataset.status = progress.status;
  showPayment(progress.session, progress.status);
  showSubscription(progress.subscription);
  showTenant(progress.tenant, progress.provisioning);
  showDetails(progress);
  const login = document.querySelector("#login");
  login.href = progress.loginUrl;
  login.hidden = progress.status !== "active";
}

async function ask(wait) {
  const path = `/api/checkout/session/${encodeURIComponent(sessionId)}?wait=${wait}`;
  const response = await fetch(path, { credentials: "include" });
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
      if (!MOVING.includes(progress.status)) return;
      [wait, failures] = [WAIT_SECONDS, 0];
    } catch (problem) {
      failures = problem.final ? TRIES : failures + 1;
      error.textContent = problem.final ? problem.message : "We cannot be reached just now; trying again.";
      if (!problem.final) await new Promise((resume) => setTimeout(resume, RETRY_MS));
    }
  }
  status.textContent = "We could not follow your order. Reload this page to look again.";
}

if (sessionId) follow();
else {
  status.textContent = "";
  error.textContent = "The address of this page names no order.";
}
