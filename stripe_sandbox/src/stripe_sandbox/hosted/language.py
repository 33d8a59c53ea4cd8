"""The language of a hosted page: that of its session, or else of the reader's browser."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from stripe_sandbox.errors import ApiError
from stripe_sandbox.hosted.english import ENGLISH
from stripe_sandbox.hosted.german import GERMAN
from stripe_sandbox.money import format_amount

AMOUNT = re.compile(r"(?P<sign>-?)(?P<currency>[^\d\s-]+)\s?(?P<digits>[\d,.]+)")
"""An amount in English."""
PLACEHOLDER = re.compile(r"\\{(\w+)\\}")
SWAPPED = str.maketrans(",.", ".,")


@dataclass(frozen=True)
class Language:
    """`words` is a catalogue; `code` is what HTML calls the language."""

    code: str
    words: Mapping[str, str]

    def say(self, name: str, /, **values: object) -> str:
        """Return a text of the catalogue, with its values."""
        return self.words[name].format_map(values)

    def amount(self, amount: int, currency: str) -> str:
        """Return an amount of minor units: `$1,299.00`, `1.299,00 $`."""
        return self._amount(format_amount(amount, currency))

    def price(self, amount: int, currency: str) -> str:
        """Return what something costs, which may be nothing."""
        return self.amount(amount, currency) if amount else self.say("free")

    def _amount(self, english: str) -> str:
        found = AMOUNT.fullmatch(english)
        if self.words is ENGLISH or found is None:
            return english
        digits = found["digits"].translate(SWAPPED)
        return f"{found['sign']}{digits}\N{NO-BREAK SPACE}{found['currency']}"

    def percent(self, percent: float) -> str:
        """Return a percentage: `12.5%`, `12,5 %`."""
        if self.words is ENGLISH:
            return f"{percent:g}%"
        return f"{percent:g}".translate(SWAPPED) + "\N{NO-BREAK SPACE}%"

    def day(self, moment: int) -> str:
        """Return the day of a Unix time: `5 March 2026`, `5. März 2026`."""
        date = datetime.fromtimestamp(moment, UTC)
        month = self.words["months"].split()[date.month - 1]
        return self.say("day", day=date.day, month=month, year=date.year)

    def every(self, recurring: Mapping[str, object]) -> str:
        """Return how often a price is charged."""
        return self._counted("every", recurring)

    def span(self, option: Mapping[str, object]) -> str:
        """Return a length of time."""
        return self._counted("span", option)

    def _counted(self, kind: str, of: Mapping[str, object]) -> str:
        plural = "" if of["interval_count"] == 1 else "s"
        return self.say(f"{kind}.{of['interval']}{plural}", count=of["interval_count"])

    def status(self, status: str) -> str:
        """Return the status of an invoice, a subscription or an intent."""
        return self.say(f"status.{status}")

    def refusal(self, error: ApiError) -> str:
        """Return why the API refuses something."""
        sentence = str(error)
        return self._translate("refusal.", sentence) or self.say("refusal.other", sentence=sentence)

    def line(self, text: str | None) -> str:
        """Return what is charged; what a merchant wrote stays as it is."""
        return self._translate("line.", text or "") or (text or "")

    def _translate(self, kind: str, english: str) -> str | None:
        """Return a sentence of the API in this language, if the catalogue has it."""
        for name, pattern in SENTENCES.items():
            found = pattern.fullmatch(english) if name.startswith(kind) else None
            if found:
                return self.say(name, **self._values(found.groupdict()))
        return None

    def _values(self, values: Mapping[str, str]) -> dict[str, str]:
        said = dict(values)
        if "amount" in values:
            said["amount"] = self._amount(values["amount"])
        if "interval" in values and self.words is not ENGLISH:
            kind = "units" if "count" in values else "unit"
            said["interval"] = self.say(f"{kind}.{values['interval']}")
        return said


def _pattern(sentence: str) -> re.Pattern[str]:
    return re.compile(PLACEHOLDER.sub(r"(?P<\1>.+)", re.escape(sentence)))


SENTENCES = {
    name: _pattern(sentence)
    for name, sentence in ENGLISH.items()
    if name.startswith(("refusal.", "line.")) and name != "refusal.other"
}
"""What the API says in English, by the name of its translation."""

DEFAULT = Language("en", ENGLISH)
LANGUAGES = {"en": DEFAULT, "de": Language("de", GERMAN)}


def language_of(
    request: web.Request, locale: str | None = None, preferred: Iterable[str] = ()
) -> Language:
    """Return the language of a page; without a locale, or with `auto`, the first that is known.

    `preferred` are the customer's own, which go before the browser's.
    """
    if locale in {None, "auto"}:
        tags = [*preferred, *accepted(request.headers.get("Accept-Language", ""))]
    else:
        tags = [str(locale)]
    codes = (tag.lower().partition("-")[0] for tag in tags)
    return next((LANGUAGES[code] for code in codes if code in LANGUAGES), DEFAULT)


def accepted(header: str) -> list[str]:
    """Return the languages of an Accept-Language header, the one most wanted first."""
    wanted = []
    for part in header.split(","):
        tag, _, weight = part.strip().partition(";")
        number = re.fullmatch(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", weight)
        wanted.append((float(number[1]) if number else 1.0, tag.strip()))
    return [tag for weight, tag in sorted(wanted, key=lambda one: -one[0]) if tag and weight]
