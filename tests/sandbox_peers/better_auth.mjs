// node better_auth.mjs STRIPE_PORT PORT PRICE BIGGER: the flow of @better-auth/stripe, as its
// documentation has it: sign up, upgrade, pay, change, cancel. Prints each step as JSON.
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { stripe } from '@better-auth/stripe'
import Stripe from 'stripe'

const [stripePort, port, price, bigger] = process.argv.slice(2)
const base = `http://127.0.0.1:${port}`
const client = new Stripe('sk_test_peers', {
  host: '127.0.0.1', port: Number(stripePort), protocol: 'http', maxNetworkRetries: 0,
})
const db = { user: [], session: [], account: [], verification: [], subscription: [] }
const auth = betterAuth({
  baseURL: base,
  secret: 'a secret of this test, which is long enough',
  database: memoryAdapter(db),
  emailAndPassword: { enabled: true },
  logger: { disabled: true },
  plugins: [
    stripe({
      stripeClient: client,
      stripeWebhookSecret: 'whsec_peers',
      createCustomerOnSignUp: true,
      subscription: {
        enabled: true,
        plans: [{ name: 'basic', priceId: price }, { name: 'pro', priceId: bigger }],
      },
    }),
  ],
})

const server = createServer(async (request, response) => {
  const parts = []
  for await (const part of request) parts.push(part)
  const body = Buffer.concat(parts)
  const asked = new Request(base + request.url, {
    method: request.method, headers: request.headers, body: body.length ? body : undefined,
  })
  const answer = await auth.handler(asked)
  response.writeHead(answer.status, Object.fromEntries(answer.headers))
  response.end(await answer.text())
})

const steps = []
let cookie = ''

async function post(path, body) {
  const headers = { 'content-type': 'application/json', origin: base, cookie }
  const answer = await fetch(`${base}/api/auth${path}`, {
    method: 'POST', headers, body: JSON.stringify(body),
  })
  const text = await answer.text()
  if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${text}`)
  const set = answer.headers.getSetCookie().map((one) => one.split(';')[0])
  if (set.length) cookie = set.join('; ')
  return text ? JSON.parse(text) : null
}

async function until(holds, what) {
  for (let tries = 0; tries < 300; tries++) {
    if (await holds()) return
    await sleep(100)
  }
  throw new Error(`not seen: ${what}, but ${JSON.stringify(db.subscription)}`)
}

async function step(name, work) {
  try {
    await work()
    steps.push({ name, error: null })
  } catch (error) {
    steps.push({ name, error: error.message })
  }
}

async function pay(session) {
  const method = await client.paymentMethods.create({ type: 'card', card: { token: 'tok_visa' } })
  await client.rawRequest('POST', `/v1/payment_pages/${session}/confirm`, {
    payment_method: method.id,
  })
}

const mine = () => db.subscription[0] ?? {}
const urls = { successUrl: '/done', cancelUrl: '/pricing', returnUrl: '/account' }

async function flow() {
  await step('sign up creates a customer', async () => {
    const person = { email: 'ada@example.com', password: 'correct horse', name: 'Ada' }
    await post('/sign-up/email', person)
    await until(async () => db.user[0]?.stripeCustomerId, 'a customer of the user')
    const customer = await client.customers.retrieve(db.user[0].stripeCustomerId)
    if (customer.email !== person.email) throw new Error(customer.email)
  })
  await step('an upgrade opens Checkout', async () => {
    const opened = await post('/subscription/upgrade', { plan: 'basic', ...urls })
    if (!opened.url.includes('/c/pay/')) throw new Error(JSON.stringify(opened))
  })
  await step('a payment makes the subscription active, by webhook', async () => {
    const [session] = (await client.checkout.sessions.list({ limit: 1 })).data
    await pay(session.id)
    await until(async () => mine().status === 'active', 'active')
  })
  await step('it lists the active subscription', async () => {
    const answer = await fetch(`${base}/api/auth/subscription/list`, { headers: { cookie } })
    const listed = await answer.json()
    if (listed[0]?.plan !== 'basic') throw new Error(JSON.stringify(listed))
  })
  await step('another plan is chosen in the portal', async () => {
    const opened = await post('/subscription/upgrade', {
      plan: 'pro', subscriptionId: mine().stripeSubscriptionId, ...urls,
    })
    if (!opened.url) throw new Error(JSON.stringify(opened))
  })
  await step('a change of the price is heard', async () => {
    const id = mine().stripeSubscriptionId
    const [item] = (await client.subscriptionItems.list({ subscription: id })).data
    await client.subscriptions.update(id, { items: [{ id: item.id, price: bigger }] })
    await until(async () => mine().plan === 'pro', 'pro')
  })
  await step('a cancellation opens the portal', async () => {
    const opened = await post('/subscription/cancel', {
      subscriptionId: mine().stripeSubscriptionId, ...urls,
    })
    if (!opened.url) throw new Error(JSON.stringify(opened))
  })
  await step('a cancellation at the end of the period is heard', async () => {
    await client.subscriptions.update(mine().stripeSubscriptionId, { cancel_at_period_end: true })
    await until(async () => mine().cancelAtPeriodEnd === true, 'cancelAtPeriodEnd')
  })
  await step('it is restored', async () => {
    await post('/subscription/restore', { subscriptionId: mine().stripeSubscriptionId })
    await until(async () => mine().cancelAtPeriodEnd === false, 'restored')
  })
  await step('its end is heard', async () => {
    await client.subscriptions.cancel(mine().stripeSubscriptionId)
    await until(async () => mine().status === 'canceled', 'canceled')
  })
}

server.listen(Number(port), '127.0.0.1', async () => {
  await flow()
  console.log(JSON.stringify(steps))
  process.exit(0)
})
