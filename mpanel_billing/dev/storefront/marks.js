// Marks what the service refuses: the input, or the group of choices, with what is wrong below it.

import { sayProblem } from "./words.js";

const form = document.querySelector("#order");

// The ids of inputs and groups that have another name in the request.
const ID_OF = {
  addonIds: "addons", authCode: "auth-code", billingCycle: "cycles", cartItems: "addons", couponCode: "coupon",
  customer: "name", customerId: "name", mode: "domain-modes", place: "postcode", plan: "plans", planId: "plans",
  quantities: "addons", taxId: "tax-id", term: "cycles", trial: "trial-choice", trialActive: "trial-choice",
  value: "domain", "taxId.type": "tax-id", "taxId.value": "tax-id",
};
const WHOLE_ORDER = "plans";
const CUSTOMERS = ["name", "email", "phone", "company", "address1", "address2", "city"];
const PLACE = ["country", "state", "postcode"];

// The ids for a path, the nearest first: of the path's end, of what it is part of, and of the whole order.
function* idsOf(path) {
  for (let parts = path.split("."); parts.length; parts = parts.slice(0, -1)) {
    const [name, pair] = [parts.at(-1), parts.slice(-2).join(".")];
    yield ID_OF[pair] ?? ID_OF[name] ?? name;
  }
  yield WHOLE_ORDER;
}

// The input or group that a path is about: one that the buyer sees, if need be after its details have opened.
function placeFor(path) {
  for (const id of idsOf(path)) {
    const found = form.querySelector(`#${CSS.escape(id)}`);
    found?.closest("details")?.setAttribute("open", "");
    if (found?.checkVisibility() && inputIn(found)) return found;
  }
  return form.querySelector(`#${WHOLE_ORDER}`);
}

const isInput = (place) => place.matches("input, select");
const inputIn = (place) => (isInput(place) ? place : place.querySelector("input:checked") ?? place.querySelector("input"));

// Mark the inputs of a refusal, whose sentence is said if it is about one; return them.
export function markInputs(fields, sentence) {
  const wrong = Object.entries(fields);
  const marked = [];
  for (const [path, problem] of wrong) {
    const place = placeFor(path);
    const input = inputIn(place);
    if (!input || marked.includes(input)) continue;
    marked.push(input);
    mark(place, input, wrong.length > 1 ? sayProblem(problem) : sentence);
  }
  return marked;
}

function mark(place, input, text) {
  unmark(input);
  const id = `${place.id}-problem`;
  document.getElementById(id)?.remove();
  const said = Object.assign(document.createElement("p"), { id, className: "problem", textContent: text });
  if (isInput(place)) place.after(said);
  else place.append(said); // it goes when the choices are drawn anew
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-errormessage", id);
}

export function unmark(input) {
  if (!input.hasAttribute("aria-invalid")) return;
  document.getElementById(input.getAttribute("aria-errormessage"))?.remove();
  input.removeAttribute("aria-invalid");
  input.removeAttribute("aria-errormessage");
}

// What a quote has accepted is not wrong any more; it knows nothing of the customer, nor of half a place.
export function unmarkQuoted(place) {
  const unknown = place || !form.elements.country.value.trim() ? CUSTOMERS : [...CUSTOMERS, ...PLACE];
  for (const input of form.elements) if (!unknown.includes(input.name)) unmark(input);
}
