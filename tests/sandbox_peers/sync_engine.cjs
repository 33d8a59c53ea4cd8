// @supabase/stripe-sync-engine on the sandbox, in the folder of its installation:
// node sync_engine.cjs backfill DATABASE_URL STRIPE_PORT         reads everything by the API
// node sync_engine.cjs webhooks DATABASE_URL STRIPE_PORT PORT    listens to webhooks on PORT
const { createServer } = require('node:http')
const Stripe = require('stripe')
const { StripeSync, runMigrations } = require('@supabase/stripe-sync-engine')

const [mode, databaseUrl, stripePort, port] = process.argv.slice(2)
const quiet = { info() {}, warn() {}, debug() {}, error: console.error }
const engine = new StripeSync({
  poolConfig: { connectionString: databaseUrl, max: 5 },
  stripeSecretKey: 'sk_test_peers',
  stripeWebhookSecret: 'whsec_peers',
  logger: quiet,
  // Otherwise it keeps the first of several events of the same second.
  revalidateObjectsViaStripeApi: [
    'charge', 'credit_note', 'customer', 'dispute', 'invoice', 'payment_intent', 'payment_method',
    'price', 'product', 'refund', 'setup_intent', 'subscription', 'subscription_schedule',
  ],
})
// It has no setting for Stripe's address.
engine.stripe = new Stripe('sk_test_peers', {
  host: '127.0.0.1', port: Number(stripePort), protocol: 'http', maxNetworkRetries: 0,
})

async function receive(request, response) {
  const parts = []
  for await (const part of request) parts.push(part)
  const { type } = JSON.parse(Buffer.concat(parts))
  try {
    // It would fetch the preview, which is no object that can be fetched, at Stripe either.
    if (type !== 'invoice.upcoming') {
      await engine.processWebhook(Buffer.concat(parts), request.headers['stripe-signature'])
    }
    response.writeHead(200).end()
  } catch (error) {
    // It mirrors some types of events only.
    const unknown = error.message === 'Unhandled webhook event'
    if (!unknown) console.error(error)
    response.writeHead(unknown ? 200 : 500).end()
  }
}

async function main() {
  await runMigrations({ databaseUrl, schema: 'stripe', logger: quiet })
  if (mode === 'webhooks') {
    createServer(receive).listen(Number(port), '127.0.0.1', () => console.log('ready'))
    return
  }
  console.log(JSON.stringify(await engine.syncBackfill({ object: 'all' })))
  process.exit(0)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
