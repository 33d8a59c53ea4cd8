// What the service answers to a buyer, in English as it says it; {names} are what differs.

const GERMAN = {
  "Checkout session not found.": "Diese Bestellung gibt es nicht, oder ihre Adresse ist unvollständig.",
  "No transfer of {domain} waits for an auth code: none was ordered, or it has been asked for already.":
    "Kein Umzug von {domain} wartet auf einen Auth-Code: Es ist keiner bestellt, oder er ist schon beantragt.",
  "This is not an auth code. Your registrar shows it, also as EPP or transfer code.":
    "Das ist kein Auth-Code. Ihr Anbieter zeigt ihn an, auch als EPP- oder Transfer-Code.",
  "\"{text}\" is not a valid domain name. Please enter one like example.com.":
    "„{text}“ ist kein gültiger Domainname. Bitte geben Sie einen wie example.com an.",
  "Please enter your domain name.": "Bitte geben Sie Ihren Domainnamen an.",
  "{domain} cannot be ordered. Please choose another domain.":
    "{domain} kann nicht bestellt werden. Bitte wählen Sie eine andere Domain.",
  "{domain} is not available. Please choose another domain. If it is yours, please sign in to order with it, or contact us.":
    "{domain} ist nicht verfügbar. Bitte wählen Sie eine andere Domain. Gehört sie Ihnen, melden Sie sich an, um mit ihr zu bestellen, oder schreiben Sie uns.",
  "{domain} is yours already. Please order with it as a domain that you have.":
    "{domain} gehört Ihnen schon. Bitte bestellen Sie mit ihr als einer Domain, die Sie haben.",
  "{domain}: we do not sell .{tld} domains. Available: {available}.":
    "{domain}: Domains unter .{tld} verkaufen wir nicht. Es gibt: {available}.",
  "{plan} does not include the registration or transfer of a domain. Please choose one later, or use one that you already have.":
    "{plan} enthält keine Registrierung und keinen Umzug einer Domain. Bitte wählen Sie später eine, oder nehmen Sie eine, die Sie schon haben.",
  "{plan} does not include the registration or transfer of a domain. Please choose one later, or use one that you already have; or order one of the plans with a domain: {others}.":
    "{plan} enthält keine Registrierung und keinen Umzug einer Domain. Bitte wählen Sie später eine, nehmen Sie eine, die Sie schon haben, oder bestellen Sie einen der Tarife mit Domain: {others}.",
  "The coupon \"{code}\" is not valid.": "Der Gutschein „{code}“ ist nicht gültig.",
  "The coupon \"{code}\" is only valid for: {products}.": "Der Gutschein „{code}“ gilt nur für: {products}.",
  "The coupon \"{code}\" is only valid for orders of {amount} or more.":
    "Der Gutschein „{code}“ gilt erst für Bestellungen ab {amount}.",
  "The coupon \"{code}\" is not valid for payments in {currency}.":
    "Der Gutschein „{code}“ gilt nicht für Zahlungen in {currency}.",
  "The coupon \"{code}\" has been used up. Please order without it.":
    "Der Gutschein „{code}“ ist aufgebraucht. Bitte bestellen Sie ohne ihn.",
  "You cannot use the coupon \"{code}\" again. Please order without it.":
    "Sie können den Gutschein „{code}“ nicht noch einmal einlösen. Bitte bestellen Sie ohne ihn.",
  "This trial or coupon is not available for this order. Please order without it.":
    "Diese Testphase oder dieser Gutschein gilt für diese Bestellung nicht. Bitte bestellen Sie ohne.",
  "You have already had a free trial of {plan}. Please order without a trial.":
    "Sie haben {plan} schon einmal kostenlos getestet. Bitte bestellen Sie ohne Testphase.",
  "{plan} has no free trial. Please order without one.":
    "{plan} hat keine kostenlose Testphase. Bitte bestellen Sie ohne.",
  "{plan} is limited to {count} per customer. If you have ordered it already, please complete that order; otherwise choose another plan.":
    "{plan} gibt es nur {count}-mal je Kunde. Haben Sie den Tarif schon bestellt, schließen Sie jene Bestellung ab; sonst wählen Sie einen anderen.",
  "Unknown {kind} \"{text}\". Available: {available}.": "„{text}“ gibt es nicht. Es gibt: {available}.",
  "Unknown billing cycle \"{text}\". Please choose one of: {available}.":
    "Den Zeitraum „{text}“ gibt es nicht. Bitte wählen Sie einen von: {available}.",
  "{product} is not available in {currency}. Available: {available}.":
    "{product} gibt es nicht in {currency}. Es gibt: {available}.",
  "{product} is not available {term}. Available: {available}.":
    "{product} gibt es nicht {term}. Es gibt: {available}.",
  "Nothing is sold in {currency}. Available: {available}.": "In {currency} wird nichts verkauft. Es gibt: {available}.",
  "A quantity is of a product that is not ordered.": "Eine Menge ist von einem Produkt, das nicht bestellt ist.",
  "You can order \"{product}\" at most {count} times.": "Sie können „{product}“ höchstens {count}-mal bestellen.",
  "You can order \"{product}\" only once.": "Sie können „{product}“ nur einmal bestellen.",
  "{product} cannot be ordered on its own.": "{product} kann nicht für sich bestellt werden.",
  "An add-on in your cart is incomplete. Please remove it and add it again.":
    "Ein Zusatz in Ihrem Warenkorb ist unvollständig. Bitte entfernen Sie ihn und legen Sie ihn neu hinein.",
  "Please choose a billing cycle.": "Bitte wählen Sie einen Zeitraum.",
  "Please choose a plan.": "Bitte wählen Sie einen Tarif.",
  "The offer \"{text}\" is no longer available. Please choose again.":
    "Das Angebot „{text}“ gibt es nicht mehr. Bitte wählen Sie neu.",
  "You have selected several billing cycles ({named}). Please choose one.":
    "Sie haben mehrere Zeiträume gewählt ({named}). Bitte wählen Sie einen.",
  "You have selected several plans ({named}). Please choose one.":
    "Sie haben mehrere Tarife gewählt ({named}). Bitte wählen Sie einen.",
  "Your cart and your order disagree about the free trial. Please choose again.":
    "Warenkorb und Bestellung sind sich über die Testphase uneins. Bitte wählen Sie neu.",
  "Your order has prices in several currencies ({named}). Please choose again.":
    "Ihre Bestellung hat Preise in mehreren Währungen ({named}). Bitte wählen Sie neu.",
  "This customer has unpaid invoices. Pay them before ordering more.":
    "Es gibt unbezahlte Rechnungen. Bitte bezahlen Sie diese, bevor Sie mehr bestellen.",
  "Customer not found.": "Diesen Kunden gibt es nicht.",
  "Product not found.": "Dieses Produkt gibt es nicht.",
  "Ordering for an existing customer requires mPanel's API key.":
    "Für einen Kunden, den es schon gibt, bestellt nur mPanel.",
  "This customer is at Stripe already. They enter their tax id in the portal.":
    "Ihre Steuernummer tragen Sie im Kundenportal ein.",
  "Taxes are added to these prices. Say where you are, to see what you pay.":
    "Zu diesen Preisen kommen Steuern. Geben Sie an, wo Sie sind, um zu sehen, was Sie zahlen.",
  "Taxes cannot be computed for this place. Send its postcode and state, too.":
    "Für diesen Ort lassen sich keine Steuern berechnen. Geben Sie auch Postleitzahl und Bundesland an.",
  "This is not a tax id of its type. Please check it, or order without it.":
    "Das ist keine gültige Steuernummer. Bitte prüfen Sie sie, oder bestellen Sie ohne.",
  "This offer is not available right now. Please try again later.":
    "Dieses Angebot gibt es gerade nicht. Bitte versuchen Sie es später noch einmal.",
  "Our offers have just changed. Please look at your order again, and send it once more.":
    "Unsere Angebote haben sich gerade geändert. Bitte sehen Sie sich Ihre Bestellung noch einmal an, und senden Sie sie neu.",
  "The payment page could not be opened. Nothing was charged; please try again in a moment.":
    "Die Zahlungsseite ließ sich nicht öffnen. Es wurde nichts abgebucht; bitte versuchen Sie es gleich noch einmal.",
  "This Idempotency-Key belongs to another request.": "Diese Bestellung wurde schon anders gesendet.",
  "Your order has changed. Please continue with the latest one.":
    "Ihre Bestellung hat sich geändert. Bitte machen Sie mit der neuesten weiter.",
  "Please enter {input}.": "Bitte geben Sie {input} an.",
  "Please check {input}: it {problem}.": "Bitte prüfen Sie {input}.",
  "Too many requests from your address. Please wait a moment and try again.":
    "Zu viele Anfragen von Ihrer Adresse. Bitte warten Sie einen Moment, und versuchen Sie es noch einmal.",
  "Something went wrong on our side; please try again in a moment.":
    "Bei uns ist etwas schiefgegangen; bitte versuchen Sie es gleich noch einmal.",
  "The service is busy; please try again in a moment.":
    "Der Dienst ist ausgelastet; bitte versuchen Sie es gleich noch einmal.",
  "The database is temporarily unavailable; please try again in a moment.":
    "Der Dienst ist gerade nicht erreichbar; bitte versuchen Sie es gleich noch einmal.",
  "The payment service is temporarily unavailable; please try again in a moment.":
    "Der Zahlungsdienst ist gerade nicht erreichbar; bitte versuchen Sie es gleich noch einmal.",
  "For {domain} only the TXT record is a proof.": "Für {domain} gilt nur der TXT-Eintrag als Nachweis.",
  "Not all nameservers have the TXT record at {name} yet.":
    "Noch nicht alle Nameserver haben den TXT-Eintrag bei {name}.",
  "The TXT record at {name} has another value.": "Der TXT-Eintrag bei {name} hat einen anderen Wert.",
  "The nameservers of {domain} are {found}, not {expected}.":
    "Die Nameserver von {domain} sind {found}, nicht {expected}.",
  "There is no TXT record at {name} yet.": "Bei {name} gibt es noch keinen TXT-Eintrag.",
  "{domain} had these nameservers before the order.": "{domain} hatte diese Nameserver schon vor der Bestellung.",
  "{name} is an alias (CNAME): the TXT record has to be there itself.":
    "{name} ist ein Alias (CNAME): Der TXT-Eintrag muss selbst dort stehen.",
  "{domain} is on our own nameservers, where it proves nothing.":
    "{domain} ist auf unseren eigenen Nameservern, wo das nichts nachweist.",
};

const OTHER = { de: "Das wurde abgelehnt. Bitte prüfen Sie Ihre Angaben." };

const ANSWERS = { de: Object.entries(GERMAN) };

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

// {names} become groups; a sentence with fewer of them is more exact, so it is tried first
function patternOf(english) {
  const parts = english.split(/\{\w+\}/).map(escaped);
  return new RegExp(`^${parts.join("(.*)")}$`, "s");
}

const namesIn = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);

// Return a sentence of the service in a language, and what differs in it by its name.
export function translateAnswer(sentence, language) {
  const known = [...(ANSWERS[language] ?? [])].sort(([one], [other]) => namesIn(one).length - namesIn(other).length);
  for (const [english, said] of known) {
    const found = patternOf(english).exec(sentence);
    if (found) return [said, Object.fromEntries(namesIn(english).map((name, place) => [name, found[place + 1]]))];
  }
  return [OTHER[language] ?? sentence, {}];
}
