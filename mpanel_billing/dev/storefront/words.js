// What the pages say, in the buyer's language if it is one of these. {names} are filled in.

import { translateAnswer } from "./answers.js";
import { decimalsOf } from "./money.js";

const GERMAN = {
  "Demo shop – mPanel billing": "Demo-Laden – mPanel billing",
  "Your order – mPanel billing": "Ihre Bestellung – mPanel billing",
  "Skip to the order": "Zur Bestellung springen",
  "Demo – no real money": "Demo – kein echtes Geld",
  "A home for your website": "Ein Zuhause für Ihre Website",
  "Choose a plan, pay with a test card, and watch your hosting get ready.":
    "Wählen Sie einen Tarif, zahlen Sie mit einer Testkarte, und sehen Sie zu, wie Ihr Hosting entsteht.",
  "Your last order is not paid yet.": "Ihre letzte Bestellung ist noch nicht bezahlt.",
  "Go on to payment": "Weiter zur Zahlung",
  "Plan": "Tarif",
  "Loading the plans…": "Die Tarife werden geladen…",
  "The shop cannot be reached just now.": "Der Laden ist gerade nicht erreichbar.",
  "Try again": "Noch einmal versuchen",
  "Pay": "Zahlen",
  "Currency": "Währung",
  "{days} days free, nothing to pay today": "{days} Tage kostenlos, heute nichts zu zahlen",
  "Domain": "Domain",
  "New or transfer": "Neu oder Umzug",
  "I have one": "Ich habe eine",
  "Later": "Später",
  "Domain name": "Domainname",
  "Free for the first year when you pay yearly or longer.":
    "Im ersten Jahr kostenlos, wenn Sie jährlich oder länger zahlen.",
  "Auth code, if it moves here from another registrar (can follow later)":
    "Auth-Code, wenn sie von einem anderen Anbieter umzieht (kann nachkommen)",
  "Extras": "Extras",
  "You": "Sie",
  "Name": "Name",
  "E-mail": "E-Mail",
  "Company, tax id, phone and address (a registrar needs phone and address)":
    "Firma, Steuernummer, Telefon und Anschrift (ein Registrar braucht Telefon und Anschrift)",
  "Company": "Firma",
  "Tax id of the company": "Umsatzsteuer-Id der Firma",
  "Enter your country, too: it says what kind of tax id this is.":
    "Geben Sie auch Ihr Land an: Es sagt, was für eine Nummer das ist.",
  "Leave this empty: the payment page asks for the tax ids of this country.":
    "Lassen Sie das leer: Nach den Steuernummern dieses Landes fragt die Zahlungsseite.",
  "Phone": "Telefon",
  "Street": "Straße",
  "Apartment, suite": "Adresszusatz",
  "City": "Ort",
  "State": "Bundesland",
  "Postcode": "Postleitzahl",
  "Country (two letters)": "Land (zwei Buchstaben)",
  "For developers: the shape of the request": "Für Entwickler: die Form der Anfrage",
  "Fields (A)": "Felder (A)",
  "Cart (B)": "Warenkorb (B)",
  "Your order": "Ihre Bestellung",
  "Coupon": "Gutschein",
  "Try {coupon}.": "Versuchen Sie {coupon}.",
  "Choose a plan to see the price.": "Wählen Sie einen Tarif, um den Preis zu sehen.",
  "Continue to payment": "Weiter zur Zahlung",
  "Test card 4242 4242 4242 4242, any date ahead, any code.":
    "Testkarte 4242 4242 4242 4242, ein Datum in der Zukunft, ein beliebiger Code.",
  "Enter your domain name to see the price, or choose it later.":
    "Geben Sie Ihren Domainnamen ein, um den Preis zu sehen, oder wählen Sie ihn später.",
  "Free": "Kostenlos",
  "{count} {unit} included": "{count} {unit} inklusive",
  "{cost} per {unit}": "{cost} je {unit}",
  "{each} up to {count}": "{each} bis {count}",
  "{first}, then {next}": "{first}, danach {next}",
  "not sold {term}": "{term} nicht erhältlich",
  "Monthly": "Monatlich",
  "Quarterly": "Vierteljährlich",
  "Every six months": "Halbjährlich",
  "Yearly": "Jährlich",
  "Every two years": "Alle zwei Jahre",
  "Every three years": "Alle drei Jahre",
  "monthly": "monatlich",
  "quarterly": "vierteljährlich",
  "every six months": "halbjährlich",
  "yearly": "jährlich",
  "every two years": "alle zwei Jahre",
  "every three years": "alle drei Jahre",
  "Net": "Netto",
  "Tax": "Steuer",
  "includes VAT": "inkl. MwSt.",
  "plus tax": "zzgl. MwSt.",
  "Enter your country to see the tax.": "Geben Sie Ihr Land an, um die Steuer zu sehen.",
  "Due today": "Heute fällig",
  "After {days} days": "Nach {days} Tagen",
  "Then, {term}": "Danach {term}",
  "{domain}, first year": "{domain}, erstes Jahr",
  "{domain}, each further year": "{domain}, jedes weitere Jahr",
  "{domain}, back after it has expired": "{domain}, zurück nach dem Ablauf",
  "{domain} is not available.": "{domain} ist nicht verfügbar.",
  "Looking up your order…": "Ihre Bestellung wird gesucht…",
  "Thank you": "Vielen Dank",
  "Not paid in time": "Nicht rechtzeitig bezahlt",
  "Payment": "Zahlung",
  "Subscription": "Vertrag",
  "Hosting": "Hosting",
  "waiting": "wartet",
  "Log in to mPanel": "Bei mPanel anmelden",
  "Back to the shop": "Zurück zum Laden",
  "Order again": "Neu bestellen",
  "This page needs JavaScript to follow your order.": "Diese Seite braucht JavaScript, um Ihrer Bestellung zu folgen.",
  "We are waiting for your payment.": "Wir warten auf Ihre Zahlung.",
  "Your payment has arrived. We are setting up your hosting.":
    "Ihre Zahlung ist da. Wir richten Ihr Hosting ein.",
  "Your trial has begun. We are setting up your hosting.":
    "Ihre Testphase hat begonnen. Wir richten Ihr Hosting ein.",
  "Everything is ready.": "Alles ist bereit.",
  "Your hosting is suspended.": "Ihr Hosting ist gesperrt.",
  "This subscription has ended.": "Dieser Vertrag ist beendet.",
  "This order was not paid in time. Nothing was charged.":
    "Diese Bestellung wurde nicht rechtzeitig bezahlt. Es wurde nichts abgebucht.",
  "This takes longer than usual. You may close this page: we go on, and its address shows how far it is. If you write to {contact}, give the order number {order}.":
    "Das dauert länger als sonst. Sie können diese Seite schließen: Wir machen weiter, und ihre Adresse zeigt den Stand. Wenn Sie an {contact} schreiben, nennen Sie die Bestellnummer {order}.",
  "nothing to pay today": "heute nichts zu zahlen",
  "received": "eingegangen",
  "{amount} received": "{amount} eingegangen",
  "not paid in time": "nicht rechtzeitig bezahlt",
  "being confirmed": "wird bestätigt",
  "not received yet": "noch nicht eingegangen",
  "waiting for the payment": "wartet auf die Zahlung",
  "active": "läuft",
  "trialing": "in der Testphase",
  "pending": "wird eingerichtet",
  "suspended": "gesperrt",
  "cancelled": "beendet",
  "expired": "abgelaufen",
  "{domain} is ready": "{domain} ist bereit",
  "being set up": "wird eingerichtet",
  "being set up ({ready} of {all} services ready)": "wird eingerichtet ({ready} von {all} Diensten bereit)",
  "Order": "Bestellung",
  "Paid": "Bezahlt",
  "Price": "Preis",
  "Free until": "Kostenlos bis",
  "Paid until": "Bezahlt bis",
  "Tenant": "Adresse",
  "Services": "Dienste",
  "Record to add": "Einzutragen",
  "Its type": "Art",
  "Its value": "Wert",
  "Or nameservers": "Oder Nameserver",
  "What we saw": "Was wir sahen",
  "not looked yet": "noch nicht nachgesehen",
  "ordered": "bestellt",
  "paid, being ordered": "bezahlt, wird bestellt",
  "being registered": "wird registriert",
  "being transferred": "zieht um",
  "please show that it is yours": "bitte zeigen Sie, dass sie Ihnen gehört",
  "yours": "gehört Ihnen",
  "yours, being renewed": "gehört Ihnen, wird verlängert",
  "expired; it can still be had back": "abgelaufen; sie ist noch zurückzuholen",
  "moved to another registrar": "zu einem anderen Anbieter umgezogen",
  "given up": "aufgegeben",
  "could not be obtained": "war nicht zu bekommen",
  "your name": "Ihren Namen",
  "your e-mail address": "Ihre E-Mail-Adresse",
  "your phone number": "Ihre Telefonnummer",
  "your street": "Ihre Straße",
  "your city": "Ihren Ort",
  "your postcode": "Ihre Postleitzahl",
  "your country": "Ihr Land",
  "{domain} could not be obtained: somebody else was faster, or its registry refuses it. What you paid for it is refunded. Your plan is as you ordered it. To choose another name, please write to {contact}.":
    "{domain} war nicht zu bekommen: Jemand war schneller, oder die Registry lehnt sie ab. Was Sie dafür gezahlt haben, wird erstattet. Ihr Tarif bleibt, wie er bestellt ist. Für einen anderen Namen schreiben Sie bitte an {contact}.",
  "To order {domain}, its registrar needs {fields}. Please log in to mPanel and complete your contact details; we go on by ourselves.":
    "Um {domain} zu bestellen, braucht der Registrar {fields}. Bitte melden Sie sich bei mPanel an und ergänzen Sie Ihre Kontaktdaten; wir machen dann von selbst weiter.",
  "To transfer {domain}, we need its auth code. The registrar that has it now gives it to you.":
    "Für den Umzug von {domain} brauchen wir den Auth-Code. Sie bekommen ihn von dem Anbieter, bei dem sie jetzt ist.",
  "Send the code": "Code senden",
  "Thank you. We ask for the transfer now.": "Vielen Dank. Wir beantragen jetzt den Umzug.",
  "We cannot be reached just now.": "Wir sind gerade nicht erreichbar.",
  "We cannot be reached just now; trying again.": "Wir sind gerade nicht erreichbar; wir versuchen es weiter.",
  "We could not follow your order. Reload this page to look again.":
    "Wir konnten Ihrer Bestellung nicht folgen. Laden Sie die Seite neu, um noch einmal nachzusehen.",
  "your name and email address": "Ihren Namen und Ihre E-Mail-Adresse",
  "your email address": "Ihre E-Mail-Adresse",
  "your company name": "den Namen Ihrer Firma",
  "your address": "Ihre Anschrift",
  "your state": "Ihr Bundesland",
  "your tax id": "Ihre Steuernummer",
  "the type of your tax id": "die Art Ihrer Steuernummer",
  "your domain": "Ihre Domain",
  "your coupon code": "Ihren Gutscheincode",
  "your domain name": "Ihren Domainnamen",
  "is missing": "fehlt",
  "must not be empty": "darf nicht leer sein",
  "must be an e-mail address, like ada@example.com": "muss eine E-Mail-Adresse sein, wie ada@example.com",
  "must be a country's two-letter code, like US": "muss der Code eines Landes mit zwei Buchstaben sein, wie DE",
  "please check this": "bitte prüfen",
  "This order is not paid yet. Open the payment page in the browser in which you ordered, or order again.":
    "Diese Bestellung ist noch nicht bezahlt. Öffnen Sie die Zahlungsseite in dem Browser, in dem Sie bestellt haben, oder bestellen Sie noch einmal.",
  "The address of this page names no order.": "Die Adresse dieser Seite nennt keine Bestellung.",
};

export const CONTACT = "support@migrahosting.example"; // where buyers of this shop write to

const LANGUAGES = { en: {}, de: GERMAN };

// the whole tag, as de-AT or en-GB: money and days are written as there
export const locale = navigator.languages.find((tag) => tag.slice(0, 2) in LANGUAGES) ?? "en";

const words = LANGUAGES[locale.slice(0, 2)];

export function say(sentence, values = {}) {
  return fill(words[sentence] ?? sentence, values);
}

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);

const TOLD = ["input", "term"]; // what differs, and is no name

// What the service has answered; of a sentence that is not known only that it was refused is said.
export function sayAnswer(sentence) {
  const [said, found] = translateAnswer(sentence, locale.slice(0, 2));
  const values = Object.entries(found).map(([name, text]) => [name, TOLD.includes(name) ? say(text) : text]);
  return fill(said, Object.fromEntries(values));
}

// What is wrong with one of several inputs, below it.
export const sayProblem = (problem) =>
  locale.startsWith("en") ? problem : words[problem] ?? say("please check this");

export function moneyIn(currency) {
  const decimals = decimalsOf(currency);
  const format = new Intl.NumberFormat(locale, {
    style: "currency", currency, minimumFractionDigits: decimals, maximumFractionDigits: decimals,
  });
  return (amount) => format.format(amount / 10 ** decimals);
}

export function priceIn(currency) {
  const money = moneyIn(currency);
  return (amount) => (amount === 0 ? say("Free") : money(amount));
}

// minor units as a decimal string: what a unit of usage costs may be a fraction of one
function unitPriceIn(currency) {
  const decimals = decimalsOf(currency);
  const format = new Intl.NumberFormat(locale, {
    style: "currency", currency, minimumFractionDigits: decimals, maximumFractionDigits: decimals + 12,
  });
  return (amount) => format.format(Number(amount) / 10 ** decimals);
}

// what usage costs: the first tier may be what each term includes
export function usagePrice({ unit, included, tiers }, currency) {
  const count = new Intl.NumberFormat(locale);
  const price = unitPriceIn(currency);
  const charged = tiers.slice(included ? 1 : 0).map(({ upTo, unitAmount }, place) => {
    const cost = price(unitAmount);
    const each = place ? cost : say("{cost} per {unit}", { cost, unit });
    return upTo === null ? each : say("{each} up to {count}", { each, count: count.format(upTo) });
  });
  const free = included ? [say("{count} {unit} included", { count: count.format(included), unit })] : [];
  return [...free, ...charged].reduce((first, next) => say("{first}, then {next}", { first, next }));
}

export const day = (moment) =>
  moment && new Date(moment).toLocaleDateString(locale, { dateStyle: "long" });

// the texts of the page itself: each element without elements in it
export function translatePage() {
  document.documentElement.lang = locale;
  document.title = say(document.title);
  for (const element of document.body.querySelectorAll("*:not(script)")) {
    const text = element.textContent.trim();
    if (!element.childElementCount && text) element.textContent = say(text);
  }
}
