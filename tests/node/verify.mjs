// Reads {secret, body, headers} from stdin; exits with 1 unless Standard Webhooks' library verifies it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { Webhook } = createRequire(`${process.env.NODE_FOLDER}/`)("standardwebhooks");
const { secret, body, headers } = JSON.parse(readFileSync(0, "utf8"));
new Webhook(secret).verify(body, headers);
