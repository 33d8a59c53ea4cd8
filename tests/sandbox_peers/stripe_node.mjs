// node stripe_node.mjs PORT CALLS: makes the calls of a JSON file with npm's stripe, in order, and
// prints what each has returned, or the error, as JSON.
import { readFileSync } from 'node:fs'
import Stripe from 'stripe'

const [port, file] = process.argv.slice(2)
const stripe = new Stripe('sk_test_peers', {
  host: '127.0.0.1', port: Number(port), protocol: 'http', maxNetworkRetries: 0,
})

// Where stripe-node has another name than the Python SDK's service and verb give.
const OTHER_NAMES = {
  'billing.credit_balance_summary.retrieve': ['billing', 'creditBalanceSummaries', 'retrieve'],
  'sources.detach': ['customers', 'deleteSource'],
  'accounts.retrieve_current': ['accounts', 'retrieveCurrent'],
  'credit_notes.preview_lines.list': ['creditNotes', 'listPreviewLineItems'],
  'customers.payment_sources.create': ['customers', 'createSource'],
  'customers.payment_sources.delete': ['customers', 'deleteSource'],
  'customers.payment_sources.list': ['customers', 'listSources'],
  'customers.payment_sources.retrieve': ['customers', 'retrieveSource'],
  'customers.payment_sources.update': ['customers', 'updateSource'],
  'customers.payment_sources.verify': ['customers', 'verifySource'],
  'sources.transactions.list': ['sources', 'listSourceTransactions'],
}
const SPECIAL = {
  '@file': () => ({ data: Buffer.from('%PDF-1.4 evidence'), name: 'evidence.pdf', type: 'application/pdf' }),
  '@version': () => stripe.getApiField('version'),
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())
const pascal = (name) => camel(`_${name}`)
const kept = {}

function filled(value) {
  if (typeof value === 'string') {
    if (value in SPECIAL) return SPECIAL[value]()
    return value.startsWith('$') ? kept[value.slice(1)] : value
  }
  if (Array.isArray(value)) return value.map(filled)
  if (value === null || typeof value !== 'object') return value
  const named = (name) => (name === 'stripe_version' ? 'apiVersion' : name)
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [named(name), filled(one)]))
}

// customers.payment_methods.list is customers.listPaymentMethods in stripe-node.
function find(operation) {
  const steps = operation.split('.')
  const verb = camel(steps.pop())
  let at = stripe
  while (steps.length && at[camel(steps[0])]) at = at[camel(steps.shift())]
  const name = verb === 'delete' ? 'del' : verb
  const part = steps.map(pascal).join('')
  const names = part ? [verb + part, verb + part.replace(/s$/, '')] : [name]
  const method = names.find((one) => typeof at[one] === 'function')
  if (!method) throw new Error(`stripe-node has no ${operation}`)
  return [at, method]
}

function located(operation) {
  const other = OTHER_NAMES[operation]
  if (!other) return find(operation)
  return [other.slice(0, -1).reduce((at, name) => at[name], stripe), other.at(-1)]
}

const field = (answer, path) => path.split('.').reduce((at, name) => at?.[name], answer)

async function make({ operation, arguments: given, kept: wanted }) {
  try {
    const [at, method] = located(operation)
    const answer = await at[method](...filled(given))
    for (const [name, path] of Object.entries(wanted)) kept[name] = field(answer, path)
    return { operation, object: answer.object ?? 'file', error: null }
  } catch (error) {
    return { operation, object: null, error: error.message }
  }
}

const results = []
for (const one of JSON.parse(readFileSync(file))) results.push(await make(one))
console.log(JSON.stringify({ version: Stripe.PACKAGE_VERSION, results }))
