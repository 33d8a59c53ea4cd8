// @supabase/stripe-sync-engine behind node's own HTTP server, as its documentation shows it:
// node sync_engine.cjs DATABASE_URL PORT SECRET POOL_SIZE, in the folder of its installation.
// CommonJS, because runMigrations of its ES module needs __dirname, which those do not have.
const { createServer } = require('node:http')
const { StripeSync, runMigrations } = require('@supabase/stripe-sync-engine')

const [url, port, secret, poolSize] = process.argv.slice(2)
const logger = { info() {}, error: (error) => process.stderr.write(`${error.stack}\n`) }
const sync = new StripeSync({
  poolConfig: { connectionString: url, max: Number(poolSize) },
  stripeSecretKey: 'sk_test_benchmark',
  stripeWebhookSecret: secret,
})

async function receive(request, response) {
  const parts = []
  for await (const part of request) parts.push(part)
  await sync.processWebhook(Buffer.concat(parts), request.headers['stripe-signature'])
  const body = '{"received":true}'
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length })
  response.end(body)
}

function answer(request, response) {
  receive(request, response).catch((error) => {
    logger.error(error)
    response.writeHead(500).end()
  })
}

runMigrations({ databaseUrl: url, schema: 'stripe', logger }).then(() => {
  createServer(answer).listen(Number(port), '127.0.0.1')
})
