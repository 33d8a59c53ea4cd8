// The shop: shows the catalogue, has the server price what is chosen, and posts the order to the
// same public route as the marketing site does.

const form = document.querySelector("#order");
const error = document.querySelector("#error");
const quote = document.querySelector("#quote");
const pay = document.querySelector("#pay");

const QUOTE_DELAY_MS = 200;
const ADDRESS = ["phone", "company", "address1", "address2", "city", "state", "postcode", "country"];
const INPUT_OF = { "domain.value": "domain", couponCode: "coupon" };

let extras;

class Refused extends Error {
  constructor(answer) {
    super(answer.error);
    this.fields = answer.fields ?? {};
  }
}

async function call(path, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch(path, { credentials: "include", ...options });
  const answer = await response.json();
  if (!response.ok) throw new Refused(answer);
  return answer;
}

function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

const chosen = (name) => form.elements[name]?.value ?? "";

function showPlans(plans) {
  const cards = plans.map((plan, index) =>
    element(
      "label",
      { className: "plan" },
      element("input", { type: "radio", name: "plan", value: plan.id, checked: index === 1 }),
      element("strong", {}, plan.name),
      element("span", { className: "price" }),
      element("p", {}, plan.description),
      element("ul", {}, ...plan.features.map((feature) => element("li", {}, feature))),
    ),
  );
  document.querySelector("#plans").replaceChildren(...cards);
}

function showAddons() {
  const rows = extras.addons.map((addon) =>
    element(
      "label",
      { className: "check" },
      element("input", { type: "checkbox", name: "addon", value: addon.id }),
      element("span", {}, element("span", {}, addon.name), element("span", { className: "hint" })),
    ),
  );
  document.querySelector("#addons").replaceChildren(...rows);
}

function showCycles() {
  const before = chosen("cycle");
  const prices = extras.plans[chosen("plan")].prices;
  const sold = extras.cycles.filter((cycle) => cycle.id in prices);
  const kept = sold.some((cycle) => cycle.id === before) ? before : sold[0].id;
  const labels = sold.map((cycle) =>
    element(
      "label",
      {},
      element("input", {
        type: "radio", name: "cycle", value: cycle.id, checked: cycle.id === kept,
      }),
      element("span", {}, cycle.label),
    ),
  );
  document.querySelector("#cycles").replaceChildren(...labels);
}

function showPrices() {
  const cycle = chosen("cycle");
  const label = extras.cycles.find((known) => known.id === cycle).label.toLowerCase();
  for (const card of document.querySelectorAll(".plan")) {
    const price = extras.plans[card.querySelector("input").value].prices[cycle];
    const text = price ? [price, element("small", {}, ` ${label}`)] : [element("small", {}, `not sold ${label}`)];
    card.querySelector(".price").replaceChildren(...text);
  }
  for (const input of document.querySelectorAll("[name=addon]")) {
    const price = extras.addons.find((addon) => addon.id === input.value).prices[cycle];
    input.disabled = !price;
    input.checked &&= Boolean(price);
    input.parentElement.querySelector(".hint").textContent = price ?? `not sold ${label}`;
  }
}

function showChoices(event) {
  if (!event || event.target.name === "plan") showCycles();
  showPrices();
  const days = extras.plans[chosen("plan")].trialDays;
  document.querySelector("#trial-choice").hidden = !days;
  document.querySelector("#trial-days").textContent = days;
  document.querySelector("#domain-field").hidden = chosen("domainMode") === "later";
  document.querySelector("#auth-code-field").hidden = chosen("domainMode") !== "new-or-transfer";
}

function isTrial() {
  return form.elements.trial.checked && extras.plans[chosen("plan")].trialDays > 0;
}

function addonIds() {
  return [...form.querySelectorAll("[name=addon]:checked")].map((input) => input.value);
}

function domainOf() {
  const mode = chosen("domainMode");
  const domain = { mode, value: mode === "later" ? "" : chosen("domain") };
  if (mode === "new-or-transfer") domain.authCode = chosen("authCode").trim() || null;
  return domain;
}

function orderAsFields() {
  return {
    planId: chosen("plan"),
    billingCycle: chosen("cycle"),
    trialActive: isTrial(),
    addonIds: addonIds(),
    couponCode: chosen("coupon").trim() || null,
    domain: domainOf(),
  };
}

function orderAsCart() {
  const [plan, term, domain] = [chosen("plan"), chosen("cycle"), domainOf()];
  const items = [
    { id: `hosting:${plan}:${term}`, type: "hosting", plan, term, quantity: 1, trial: isTrial() },
    ...addonIds().map((id) => ({ id, type: "addon", quantity: 1 })),
  ];
  const order = { planId: plan, billingCycle: term, trialActive: isTrial(), cartItems: items };
  if (domain.mode === "new-or-transfer") {
    items.push({
      id: `domain-${domain.value}`, type: "domain", domain: domain.value, quantity: 1,
      authCode: domain.authCode,
    });
  } else {
    order.domain = domain;
  }
  return { ...order, couponCode: chosen("coupon").trim() || null };
}

const orderOf = () => (chosen("shape") === "b" ? orderAsCart() : orderAsFields());

function customerOf() {
  const customer = { name: chosen("name"), email: chosen("email") };
  for (const name of ADDRESS) {
    if (chosen(name).trim()) customer[name] = chosen(name);
  }
  return customer;
}

function billRow(name, amount, className = "") {
  return element(
    "tr", { className }, element("th", { scope: "row" }, name), element("td", {}, amount),
  );
}

function moneyIn(currency) {
  const format = new Intl.NumberFormat("en-US", { style: "currency", currency });
  const decimals = format.resolvedOptions().maximumFractionDigits;
  return (amount) => format.format(amount / 10 ** decimals);
}

function domainRows(domain, money) {
  const name = domain.unicodeName;
  const rows = [];
  if (domain.firstYear === 0) rows.push(billRow(`${name}, first year`, "free", "good"));
  if (domain.renewal !== null) {
    rows.push(billRow(`${name}, each further year`, money(domain.renewal), "later"));
  }
  if (domain.redemption !== null) {
    rows.push(billRow(`${name}, back after it has expired`, money(domain.redemption), "later"));
  }
  return rows;
}

function showQuote(priced) {
  const money = moneyIn(priced.currency);
  const rows = priced.lines.map((line) => billRow(line.name, money(line.amount)));
  if (priced.discount) rows.push(billRow(priced.coupon, money(-priced.discount), "good"));
  rows.push(billRow("Due today", money(priced.dueToday), "total"));
  if (priced.trialDays) {
    rows.push(billRow(`After ${priced.trialDays} days`, money(priced.dueAfterTrial)));
  }
  const cycle = extras.cycles.find((known) => known.id === priced.billingCycle).label;
  rows.push(billRow(`Then, ${cycle.toLowerCase()}`, money(priced.perTerm), "later"));
  rows.push(...priced.domains.flatMap((domain) => domainRows(domain, money)));
  const taken = priced.domains.find((domain) => domain.availability === "taken");
  quote.replaceChildren(
    element("table", { className: "bill" }, element("tbody", {}, ...rows)),
    ...(taken ? [element("p", { className: "hint" }, `${taken.unicodeName} is not available.`)] : []),
  );
}

function showHint(sentence) {
  quote.replaceChildren(element("p", { className: "hint" }, sentence));
}

let asked = 0;
let timer;

function askForQuote() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    const turn = ++asked;
    if (domainOf().mode !== "later" && !chosen("domain").trim()) {
      showHint("Enter your domain name to see the price, or choose it later.");
      return;
    }
    try {
      const priced = await call("/api/checkout/quote", orderOf());
      if (turn === asked) showQuote(priced);
    } catch (problem) {
      if (turn === asked) showHint(sentenceOf(problem));
    }
  }, QUOTE_DELAY_MS);
}

function sentenceOf(problem) {
  return problem instanceof Refused ? problem.message : "The shop cannot be reached just now.";
}

function showProblem(problem) {
  error.textContent = sentenceOf(problem);
  const names = Object.keys(problem.fields ?? {}).map(
    (path) => INPUT_OF[path] ?? (path.endsWith(".domain") ? "domain" : path.split(".").pop()),
  );
  const inputs = names.map((name) => document.getElementById(name)).filter(Boolean);
  for (const input of inputs) {
    input.setAttribute("aria-invalid", "true");
    input.closest("details")?.setAttribute("open", "");
  }
  inputs[0]?.focus();
}

function clearProblem() {
  error.textContent = "";
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

form.addEventListener("change", (event) => {
  showChoices(event);
  askForQuote();
});
form.addEventListener("input", (event) => {
  if (["domain", "coupon"].includes(event.target.name)) askForQuote();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (pay.getAttribute("aria-disabled") === "true") return;
  clearProblem();
  pay.setAttribute("aria-disabled", "true");
  try {
    const answer = await call("/api/checkout/create-session", {
      ...orderOf(),
      customer: customerOf(),
      success_url: `${location.origin}/demo/success`,
      cancel_url: `${location.origin}/demo`,
    });
    location.assign(answer.url);
  } catch (problem) {
    showProblem(problem);
  } finally {
    pay.removeAttribute("aria-disabled");
  }
});

async function open() {
  try {
    const [publicPlans, more] = await Promise.all([call("/api/public/plans"), call("/demo/extras")]);
    extras = more;
    showPlans(publicPlans.plans);
    showAddons();
    showChoices();
    document.querySelector("#coupon-hint").textContent =
      extras.coupons.length ? `Try ${extras.coupons[0]}.` : "";
    document.querySelector("#domain").placeholder = `example.${extras.topLevelDomains[0] ?? "com"}`;
    askForQuote();
    form.dataset.ready = "true";
  } catch (problem) {
    showProblem(problem);
  }
}

open();
