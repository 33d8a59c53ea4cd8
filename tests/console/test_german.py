"""No page in German has English words, but for what is no text of ours."""

import re

import asyncpg

from benchmarks.console import PLACES, pages
from benchmarks.many_rows import fill
from mpanel_billing.console.app import MODULES
from tests.console.conftest import Console, Ids, Shown
from tests.console.planted import plant_domains, plant_merge, plant_servers

MANY = 300
ENGLISH = frozenset(
    """
    the and of to is are were not no be been by for from with without until again yet that this it
    its their there here what which who whom when while before after between on at as or has have
    had does did done can cannot could will would should may nothing nobody never more most than
    then only other another please failed unpaid paid refunded charged customer customers invoice
    invoices subscription subscriptions amount account trouble attempts next term ends ended found
    missing
    """.split()  # noqa: SIM905 - a text is easier to read
)
"""Words that no German sentence has."""
TAGS = re.compile(r"<(script|style|title|code|pre|textarea|svg)\b.*?</\1>", re.DOTALL)
FOREIGN = re.compile(r'<(span)[^>]* lang="en"[^>]*>(.*?)</\1>', re.DOTALL)
"""What others have written in English is marked as such."""
WRITTEN = (
    *("HTTP 50[23]: .*", "failed: TimeoutError", r"The registrant has no phone\.", "HTTP 503"),
    *(r"Your card was declined.*", r"The charge was disputed\.", "[a-z]+[ _][a-z_ ]+"),
)
"""By servers, registrars and banks."""
SET_UP = "/console/set-up"
"""The doctor speaks English, here as on the command line."""
WITHIN = re.compile(
    r"; Your card was declined \([^)]*\)(?=, )|It is taken\.(?=; nicht erstattet)"
    r"|\(at [^ ]+ / (?:month|year)\)(?=</td>)"
)
"""The same within a sentence of ours; and Stripe's own text of an invoice's line."""


def english_in(shown: Shown) -> set[str]:
    """Return the English words of a page."""
    own = WITHIN.sub("", FOREIGN.sub("", TAGS.sub("", shown.html)))
    text = Shown(shown.status, own).text
    words = set(re.findall(r"(?<![\w.:/@`-])[a-z]+(?![\w.:/@`-]*[\w@/])", text))
    return words & ENGLISH


def marked_in(shown: Shown, address: str) -> list[str]:
    """Return what is marked as written by others, and is not."""
    texts = [text for _, text in FOREIGN.findall(shown.html)] if address != SET_UP else []
    return [text for text in texts if not any(re.fullmatch(one, text) for one in WRITTEN)]


async def test_every_page_of_the_town_is_german(
    console: Console, ids: Ids, database_url: str
) -> None:
    conn = await asyncpg.connect(database_url)
    await fill(conn, MANY, seed=1)
    places = dict(await conn.fetchrow(PLACES, MANY - 1) or {})
    await conn.close()
    pool = console.service.pool
    await plant_domains(pool, await pool.fetchval("SELECT $1::uuid", ids.subscription))
    await plant_servers(pool)
    await plant_merge(pool, await pool.fetchval("SELECT $1::uuid", ids.customer))
    addresses = [*pages(places), *_declared(ids)]
    found = {}
    for address in dict.fromkeys(addresses):
        shown = await console.open(address, **{"Accept-Language": "de"})
        assert shown.status in {200, 404, 409, 422}, (address, shown.text)
        if words := [*sorted(english_in(shown)), *marked_in(shown, address)]:
            found[address] = words
    assert found == {}


def _declared(ids: Ids) -> list[str]:
    """Return the address of each page and action, of what is sold."""
    of = {"subscriptions": ids.subscription, "customers": ids.customer, "invoices": ids.invoice}
    return [
        one.address.replace("{id}", of.get(one.address.split("/")[2], "evt_none"))
        for pages_of in MODULES
        for one in pages_of.declared
        if one.method == "GET" and not one.address.endswith(".csv")
    ]
