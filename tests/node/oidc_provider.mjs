// An OpenID Connect provider with one client, on a port of its own: prints its issuer, and serves until
// its stdin ends. Whoever signs in there as NAME is in the group NAME.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.NODE_FOLDER}/`);
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);
const { client, inIdToken } = JSON.parse(process.argv[2]);

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [client],
  claims: { openid: ["sub"], profile: ["name"], groups: ["groups"] },
  conformIdTokenClaims: !inIdToken,
  pkce: { required: () => true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: `${id} of the desk`, groups: ["staff", id] }),
  }),
});
server.on("request", provider.callback());
console.log(issuer);
process.stdin.resume().on("end", () => process.exit(0));
