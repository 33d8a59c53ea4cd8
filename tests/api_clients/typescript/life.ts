// A customer's life by the types that openapi-typescript makes of /openapi.json, with openapi-fetch.
// Run as `node life.js BASE_URL KEY`. It prints the names of its steps. Then each line that it reads
// is JSON: the name of a step, and what the step is given. It takes the step, and prints what that
// hands on. tests/api_clients/script.py has the order.
import { createInterface } from "node:readline/promises";
import * as dunning from "./dunning.js";
import * as invoices from "./invoices.js";
import * as people from "./people.js";
import * as purchase from "./purchase.js";
import * as subscriptions from "./subscriptions.js";

type Step = (given: string) => Promise<string | void>;

const STEPS: Record<string, Step> = {
  ...purchase.STEPS,
  ...people.STEPS,
  ...subscriptions.STEPS,
  ...invoices.STEPS,
  ...dunning.STEPS,
};

console.log(JSON.stringify(Object.keys(STEPS)));
for await (const line of createInterface({ input: process.stdin })) {
  const [name, [given]] = JSON.parse(line);
  console.log(JSON.stringify((await STEPS[name](given)) ?? null));
}
