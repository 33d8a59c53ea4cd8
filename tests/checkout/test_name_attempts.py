"""Nobody gets a name that is not theirs, however it is written."""

import asyncio
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mpanel_billing.database.pool import transaction
from mpanel_billing.domains.repository import owned
from tests.inline_worker import InlineWorker
from tests.provisioning.test_domain_life import add
from tests.service import Service

QUOTE = "/api/checkout/quote"
HELD = ("ada.com", "shop.grace.co.uk", "bücher.de", "kay.org")
RESERVED = ("gmail.com", "panel.test")
IMITATED = ("ada.com", "grace.co.uk", "bücher.de", "kay.org", "gmail.com")
LETTERS = {"a": "\u0430", "c": "\u0441", "e": "\u0435", "o": "\u043e", "p": "\u0440", "y": "\u0443"}


def imitated(name: str, dice: random.Random) -> str:
    """Replace letters of the first label by Cyrillic ones that look the same."""
    label, _, rest = name.partition(".")
    places = [place for place, letter in enumerate(label) if letter in LETTERS]
    chosen = set(dice.sample(places, dice.randint(1, len(places))))
    letters = (LETTERS[x] if place in chosen else x for place, x in enumerate(label))
    return f"{''.join(letters)}.{rest}"


def in_ascii(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


WAYS: tuple[Callable[[str, random.Random], str], ...] = (
    lambda name, _: name.upper(),
    lambda name, dice: "".join(dice.choice((x.upper(), x)) for x in name),
    lambda name, _: f"{name}.",
    lambda name, _: f"  {name} ",
    lambda name, _: name.replace(".", "\u3002"),
    lambda name, _: in_ascii(name),
    lambda name, dice: f"{dice.choice(('www', 'mail', 'a.b', 'xn--bcher-kva'))}.{name}",
    lambda name, _: name.partition(".")[2] if name.count(".") > 2 else name,
    lambda name, _: "".join(chr(ord(x) + 0xFEE0) if "a" <= x <= "z" else x for x in name),
    lambda name, _: f"\u00ad{name}",
)


def attempts(count: int) -> Iterator[str]:
    dice = random.Random(17)
    for _ in range(count):
        name = dice.choice(HELD + RESERVED)
        for way in dice.sample(WAYS, dice.randint(1, 2)):
            name = way(name, dice)
        yield name


async def sell(service: Service, order: dict[str, Any]) -> None:
    for number, name in enumerate(HELD):
        buyer = {"customer": {"name": "Ada", "email": f"ada{number}@example.com"}}
        await service.buy(order | buyer | {"domain": {"mode": "existing", "value": name}})


async def test_none_of_200_ways_to_write_anothers_name_gets_it(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    await sell(service, order_a)
    await worker.catch_up()
    looking_alike = [imitated(name, random.Random(n)) for n in range(5) for name in IMITATED]
    tried = ["co.uk", "github.io", "ada.unheard", *attempts(180), *looking_alike]
    for name in tried:
        body = order_a | {"domain": {"mode": "existing", "value": name}}
        answer = await service.client.post(QUOTE, json=body)
        content = await answer.json()
        if answer.status == 422:
            assert content["code"] == "invalid_domain", name
            continue
        [domain] = content["domains"]
        assert domain["availability"] == "taken", (name, domain)
    assert len(tried) >= 200


@pytest.mark.parametrize("name", ["bob.com", "bücher.com", "grace.co.uk.com", "ada.org", "kay.com"])
async def test_what_is_only_similar_is_sold(
    service: Service, order_a: dict[str, Any], name: str
) -> None:
    await sell(service, order_a)
    await service.order(order_a | {"domain": {"mode": "existing", "value": name}})


SAME: tuple[Callable[[str, random.Random], str], ...] = (*WAYS[:5], *WAYS[8:])
"""The ways that write a name otherwise, and do not lead to one under or above it."""


async def availability(service: Service, order: dict[str, Any], name: str) -> str:
    body = order | {"domain": {"mode": "existing", "value": name}}
    content = await (await service.client.post(QUOTE, json=body)).json()
    return str(content["domains"][0]["availability"])


async def race_for(service: Service, order: dict[str, Any], name: str, dice: random.Random) -> None:
    """Have two buyers pay at once for a name, or for it and one under it, each in their writing."""
    under = dice.choice(("", "www.", "a.b."))
    written = (dice.choice(SAME)(name, dice), dice.choice(SAME)(under + name, dice))
    pages = await asyncio.gather(
        *(
            service.order(
                order
                | {"customer": {"name": "Eve", "email": f"eve{place}@{name}"}}
                | {"domain": {"mode": "existing", "value": value}}
            )
            for place, value in enumerate(written)
        )
    )
    paid = await asyncio.gather(*(service.stripe.pay(page["url"]) for page in pages))
    assert [answer.status for answer in paid] == [303, 303]


async def test_of_two_buyers_in_one_instant_one_gets_what_was_released_a_second_ago(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    dice = random.Random(18)
    order = order_a | {"addonIds": []}
    names = [f"{label}.com" for label in ("augusta", "byron", "countess", "diff")]
    for name in names:
        of_name = {"name": name, "unicode_name": name, "skeleton": name, "registrable": name}
        kept = await add(service.pool, "active", **of_name)
        for way in SAME:
            assert await availability(service, order, way(name, dice)) == "taken"
        async with transaction(service.pool) as conn:
            assert await owned.release_domain(conn, kept)
    await asyncio.gather(*(race_for(service, order, name, dice) for name in names))
    await service.stripe.wait_idle()
    await worker.catch_up()
    for name in names:
        rows = await service.pool.fetch(
            "SELECT state FROM billing_domains WHERE registrable = $1 AND state <> 'released'", name
        )
        assert sorted(row["state"] for row in rows) == ["active", "failed"], name
        tenants = await service.pool.fetchval(
            "SELECT count(*) FROM tenants WHERE domain LIKE $1", f"%{name}"
        )
        assert tenants == 1, name
