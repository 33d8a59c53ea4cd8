// How many decimals Stripe's minor units are. The browser knows other ones for some currencies: none for
// krónur, which Stripe counts in hundredths.

const WITHOUT_DECIMALS = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(" ");
const WITH_THREE = "bhd jod kwd omr tnd".split(" ");

export function decimalsOf(currency) {
  const code = currency.toLowerCase();
  if (WITHOUT_DECIMALS.includes(code)) return 0;
  return WITH_THREE.includes(code) ? 3 : 2;
}
