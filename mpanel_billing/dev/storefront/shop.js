// The shop: shows the catalogue, has the server price what is chosen, and posts the order to the
// same public route as the marketing site does.

import { markInputs, unmark, unmarkQuoted } from "./marks.js";
import { forgetUnpaid, recallUnpaid, rememberUnpaid } from "./unpaid.js";
import { moneyIn, priceIn, say, sayAnswer, translatePage, usagePrice } from "./words.js";

const form = document.querySelector("#order");
const error = document.querySelector("#error");
const quote = document.querySelector("#quote");
const pay = document.querySelector("#pay");
const totalInSight = document.querySelector("#total-in-sight");

const QUOTE_DELAY_MS = 200;
const ADDRESS = ["phone", "company", "address1", "address2", "city", "state", "postcode", "country"];

// The type of a company's tax id, in Stripe's words, by its country; of others the payment page asks.
const TAX_ID_TYPES = { AU: "au_abn", CA: "ca_bn", CH: "ch_vat", GB: "gb_vat", NO: "no_vat", NZ: "nz_gst", US: "us_ein" };
const EUROPEAN_UNION = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split(" ");
for (const country of EUROPEAN_UNION) TAX_ID_TYPES[country] = "eu_vat";

let extras;

class Refused extends Error {
  constructor(status, answer) {
    super(answer.error);
    this.status = status;
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
  if (!response.ok) throw new Refused(response.status, { ...answer, error: sayAnswer(answer.error) });
  return answer;
}

function element(name, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

const termOf = (cycle) => say(extras.cycles.find((known) => known.id === cycle).label.toLowerCase());

const chosen = (name) => form.elements[name]?.value ?? "";

// A shop that sells in one currency shows no choice.
function showCurrencies({ currency, currencies }) {
  const options = currencies.map((code) =>
    element("option", { value: code, selected: code === currency }, code.toUpperCase()),
  );
  document.querySelector("#currency").replaceChildren(...options);
  document.querySelector("#currency-field").hidden = currencies.length < 2;
}

function showPlans(plans) {
  const before = chosen("plan");
  const kept = plans.some((plan) => plan.id === before) ? before : (plans[1] ?? plans[0]).id;
  const cards = plans.map((plan) =>
    element(
      "label",
      { className: "plan" },
      element("input", { type: "radio", name: "plan", value: plan.id, checked: plan.id === kept }),
      element("strong", {}, plan.name),
      element("span", { className: "price" }),
      element("p", {}, plan.description ?? ""),
      element("ul", {}, ...plan.features.map((feature) => element("li", {}, feature))),
    ),
  );
  document.querySelector("#plans").replaceChildren(...cards);
}

function showAddons() {
  const before = addonIds();
  const rows = extras.addons.map((addon) =>
    element(
      "label",
      { className: "check" },
      element("input", {
        type: "checkbox", name: "addon", value: addon.id, checked: before.includes(addon.id),
      }),
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
      element("span", {}, say(cycle.label)),
    ),
  );
  document.querySelector("#cycles").replaceChildren(...labels);
}

function showPrices() {
  const cycle = chosen("cycle");
  const term = termOf(cycle);
  const priced = priceIn(extras.currency);
  for (const card of document.querySelectorAll(".plan")) {
    const price = extras.plans[card.querySelector("input").value].prices[cycle];
    const sold = price !== undefined;
    const text = sold ? [priced(price)] : [];
    const each = [term, ...taxWords(extras.taxBehavior)].join(", ");
    if (price !== 0) text.push(element("small", {}, sold ? ` ${each}` : say("not sold {term}", { term })));
    card.querySelector(".price").replaceChildren(...text);
  }
  for (const input of document.querySelectorAll("[name=addon]")) {
    const { prices, usage } = extras.addons.find((addon) => addon.id === input.value);
    const price = prices[cycle];
    input.disabled = price === undefined;
    input.checked &&= !input.disabled;
    const text = input.disabled ? say("not sold {term}", { term }) : price ? `${priced(price)} ${term}` : priced(price);
    input.parentElement.querySelector(".hint").textContent =
      usage && !input.disabled ? usagePrice(usage, extras.currency) : text;
  }
}

function showChoices(event) {
  if (!event || event.target.name === "plan") showCycles();
  showPrices();
  const days = extras.plans[chosen("plan")].trialDays;
  document.querySelector("#trial-choice").hidden = !days;
  document.querySelector("#trial-text").textContent = say("{days} days free, nothing to pay today", { days });
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
    currency: chosen("currency"),
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
  const order = {
    planId: plan, billingCycle: term, currency: chosen("currency"), trialActive: isTrial(),
    cartItems: items,
  };
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

// Where the buyer is taxed, once they have said it.
function placeOf() {
  const [country, state, postcode] = ["country", "state", "postcode"].map((name) => chosen(name).trim());
  return country.length === 2 ? { country, state: state || null, postcode: postcode || null } : null;
}

// The tax id of the company, if there is one; throws if its country does not say of which type it is.
function taxIdOf() {
  const value = chosen("taxId").trim();
  if (!value) return null;
  const type = TAX_ID_TYPES[chosen("country").trim().toUpperCase()];
  if (type) return { type, value };
  const sentence = chosen("country").trim()
    ? say("Leave this empty: the payment page asks for the tax ids of this country.")
    : say("Enter your country, too: it says what kind of tax id this is.");
  throw new Refused(422, { error: sentence, fields: { taxId: sentence } });
}

function taxIdIfClear() {
  try {
    return [taxIdOf()];
  } catch (problem) {
    return [null, problem];
  }
}

function customerOf() {
  const customer = { name: chosen("name"), email: chosen("email"), taxId: taxIdOf() };
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

function domainRows(domain, money) {
  const named = { domain: domain.unicodeName };
  const rows = [];
  if (domain.firstYear === 0) rows.push(billRow(say("{domain}, first year", named), say("Free"), "good"));
  if (domain.renewal !== null) {
    rows.push(billRow(say("{domain}, each further year", named), money(domain.renewal), "later"));
  }
  if (domain.redemption !== null) {
    rows.push(billRow(say("{domain}, back after it has expired", named), money(domain.redemption), "later"));
  }
  return rows;
}

const TAX_WORDS = { inclusive: "includes VAT", exclusive: "plus tax" };
const taxWords = (behavior) => (behavior ? [say(TAX_WORDS[behavior])] : []);

// The taxes of the first invoice that is paid, if it is known where.
function taxRows({ tax }, money) {
  if (!tax || tax.total === null) return [];
  return [billRow(say("Net"), money(tax.total - tax.amount)), billRow(say("Tax"), money(tax.amount))];
}

function showQuote(priced) {
  const money = moneyIn(priced.currency);
  const rows = priced.lines.map(({ name, usage, amount }) =>
    billRow(name, usage ? usagePrice(usage, priced.currency) : money(amount)),
  );
  if (priced.discount) rows.push(billRow(priced.coupon, money(-priced.discount), "good"));
  const first = priced.tax?.total ?? (priced.trialDays ? priced.dueAfterTrial : priced.dueToday);
  const today = priced.trialDays ? priced.dueToday : first;
  const untaxed = priced.tax && priced.tax.total === null ? taxWords(priced.tax.behavior) : [];
  rows.push(...taxRows(priced, money));
  rows.push(billRow(say("Due today"), [money(today), ...(today ? untaxed : [])].join(", "), "total"));
  if (priced.trialDays) {
    const later = say("After {days} days", { days: priced.trialDays });
    rows.push(billRow(later, [money(first), ...untaxed].join(", ")));
  }
  const term = termOf(priced.billingCycle);
  const each = [money(priced.perTerm), ...taxWords(priced.tax?.behavior)].join(", ");
  rows.push(billRow(say("Then, {term}", { term }), each, "later"));
  rows.push(...priced.domains.flatMap((domain) => domainRows(domain, money)));
  const taken = priced.domains.find((domain) => domain.availability === "taken");
  quote.replaceChildren(
    element("table", { className: "bill" }, element("tbody", {}, ...rows)),
    ...(taken ? [hint(say("{domain} is not available.", { domain: taken.unicodeName }))] : []),
    ...(untaxed.length ? [hint(say("Enter your country to see the tax."))] : []),
  );
  totalInSight.querySelector("strong").textContent = money(today);
  totalInSight.hidden = false;
}

const hint = (sentence) => element("p", { className: "hint" }, sentence);

function showHint(sentence) {
  quote.replaceChildren(hint(sentence));
  totalInSight.hidden = true;
}

let asked = 0;
let timer;

function askForQuote() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    const turn = ++asked;
    if (domainOf().mode !== "later" && !chosen("domain").trim()) {
      showHint(say("Enter your domain name to see the price, or choose it later."));
      return;
    }
    try {
      const place = placeOf();
      const [taxId, unclear] = taxIdIfClear();
      // who has not come to the country yet is not told that it is missing, until they want to pay
      const told = place || form.elements.taxId.hasAttribute("aria-invalid") ? unclear : undefined;
      const [priced, refusal = told] = await quoteOf({ ...orderOf(), place, taxId });
      if (turn !== asked) return;
      showQuote(priced);
      unmarkQuoted(place);
      if (refusal) markInputs(refusal.fields, refusal.message);
    } catch (problem) {
      if (turn === asked) showHint(sentenceOf(problem));
    }
  }, QUOTE_DELAY_MS);
}

// A coupon, a place or a tax id that is refused does not hide what it costs without.
async function quoteOf(order) {
  try {
    return [await call("/api/checkout/quote", order)];
  } catch (problem) {
    const wrong = Object.keys(problem.fields ?? {}).map((path) => path.split(".")[0]);
    const refused = ["couponCode", "taxId", "place"].find((name) => order[name] && wrong.includes(name));
    if (!refused) throw problem;
    const [priced, another] = await quoteOf({ ...order, [refused]: null });
    return [priced, another ?? problem];
  }
}

function sentenceOf(problem) {
  return problem instanceof Refused ? problem.message : say("The shop cannot be reached just now.");
}

function showProblem(problem) {
  error.textContent = sentenceOf(problem);
  if (quote.textContent === error.textContent) showHint("");
  markInputs(problem.fields ?? {}, problem.message)[0]?.focus();
}

// What was wrong before is not said of what is there now.
function clearProblem(inputs) {
  error.textContent = "";
  for (const input of inputs) unmark(input);
}

form.addEventListener("change", async (event) => {
  try {
    if (event.target.name === "currency") await loadOffers(chosen("currency"));
    else showChoices(event);
    askForQuote();
  } catch (problem) {
    showProblem(problem);
  }
});
form.addEventListener("input", (event) => {
  clearProblem([...form.elements].filter((input) => input.name === event.target.name));
  if (["domain", "coupon"].includes(event.target.name)) askForQuote();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (pay.getAttribute("aria-disabled") === "true") return;
  clearProblem(form.elements);
  pay.setAttribute("aria-disabled", "true");
  try {
    const answer = await call("/api/checkout/create-session", {
      ...orderOf(),
      customer: customerOf(),
      place: placeOf(),
      success_url: `${location.origin}/demo/success`,
      cancel_url: `${location.origin}/demo`,
    });
    rememberUnpaid({ sessionId: answer.sessionId, url: answer.url });
    location.assign(answer.url);
  } catch (problem) {
    showProblem(problem);
  } finally {
    pay.removeAttribute("aria-disabled");
  }
});

// Who left the payment page finds the way back, as long as it is open.
async function offerUnpaid() {
  const notice = document.querySelector("#unpaid");
  const unpaid = recallUnpaid();
  notice.hidden ||= !unpaid;
  if (!unpaid) return;
  try {
    const { session } = await call(`/api/checkout/session/${encodeURIComponent(unpaid.sessionId)}`);
    if (session.status !== "open") {
      forgetUnpaid();
      notice.hidden = true;
      return;
    }
    notice.querySelector("a").href = unpaid.url;
    notice.hidden = false;
  } catch (problem) {
    if (problem.status === 404) forgetUnpaid();
  }
}

function showClosed(problem) {
  const again = element("button", { type: "button", className: "secondary" }, say("Try again"));
  again.addEventListener("click", open);
  document.querySelector("#plans").replaceChildren(element("p", { className: "alert" }, sentenceOf(problem)), again);
  showHint("");
}

// Shows what is sold in a currency; an empty one is the default of the shop.
async function loadOffers(currency) {
  const query = currency ? `?currency=${encodeURIComponent(currency)}` : "";
  const [publicPlans, more] = await Promise.all([
    call(`/api/public/plans${query}`), call(`/demo/extras${query}`),
  ]);
  extras = more;
  showCurrencies(publicPlans);
  showPlans(publicPlans.plans);
  showAddons();
  showChoices();
  document.querySelector("#coupon-hint").textContent =
    extras.coupons.length ? say("Try {coupon}.", { coupon: extras.coupons[0] }) : "";
  document.querySelector("#domain").placeholder = `example.${extras.topLevelDomains[0] ?? "com"}`;
}

async function open() {
  try {
    await loadOffers("");
    askForQuote();
    form.dataset.ready = "true";
  } catch (problem) {
    showClosed(problem);
  }
}

translatePage();
open();
// also when the page comes back as it was, with the browser's Back
addEventListener("pageshow", offerUnpaid);
