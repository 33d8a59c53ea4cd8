"""What is sold, in the file, the database and Stripe; who pays which price; and edits tried out."""

from http import HTTPStatus
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

from mpanel_billing.catalogue.drift import find_drift
from mpanel_billing.catalogue.edit import CatalogueEdit
from mpanel_billing.catalogue.file import CatalogueFileError, parse_catalogue, read_catalogue_file
from mpanel_billing.catalogue.model import ProductKind
from mpanel_billing.catalogue.service import (
    MeterChangedError,
    preview_catalogue,
    read_catalogue,
)
from mpanel_billing.console.pages import Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.provisioning.operations import list_ignored_prices
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.search.price_use import (
    MOST_COUNTED,
    MOST_COUNTED_OF_ONE,
    get_price,
    list_payers,
    list_prices,
)
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue

pages = Pages()

_HOME = "/console/catalogue"
KINDS: tuple[ProductKind, ...] = get_args(ProductKind)
MOST = 150
MOST_PAYERS = 50
MOST_SENTENCES = 100


@pages.page(_HOME, scope="admin:read")
async def show_catalogue(visit: Visit, given: Given) -> Page:
    """Show what is sold of a kind, who pays it, and how the file differs."""
    mirror = visit.app[keys.MIRROR]
    asked = given.text("kind")
    kind = next((one for one in KINDS if one == asked), KINDS[0])
    prices = await list_prices(mirror.pool, kind, MOST, livemode=mirror.livemode)
    on_sale = await read_catalogue(mirror.pool, livemode=mirror.livemode)
    path = visit.app[keys.SETTINGS].catalogue_file or DEFAULT_CATALOGUE
    values = {
        "kind": kind,
        "kinds": KINDS,
        "prices": prices,
        "is_cut": len(prices) == MOST,
        "most_counted": MOST_COUNTED,
        "coupons": on_sale.coupons[:MOST],
        "ignored": await list_ignored_prices(mirror.pool, MOST),
        "file": path.name,
    }
    return Page("catalogue.html", values | await _compare(visit, path))


async def _compare(visit: Visit, path: Path) -> dict[str, Any]:
    """Compare the file with the database; what is wrong with it is shown in its place."""
    try:
        edit = await preview_catalogue(visit.app[keys.POOL], read_catalogue_file(path))
    except (CatalogueFileError, MeterChangedError) as error:
        return {"problems": error.message.splitlines()[:MOST_SENTENCES], "differences": []}
    return {"problems": [], "differences": _sentences(edit)}


def _sentences(edit: CatalogueEdit) -> list[str]:
    return [*map(str, edit.prices), *edit.others, *edit.added][:MOST_SENTENCES]


@pages.page(f"{_HOME}/stripe", scope="admin:read")
async def show_stripe(visit: Visit, _: Given) -> Page:
    """Ask Stripe for its products, prices and coupons, and show what a push would change."""
    mirror = visit.app[keys.MIRROR]
    drift = await find_drift(mirror.pool, StripeCatalogue(mirror.stripe.client), mirror.livemode)
    return Page("catalogue_stripe.html", {"drift": drift[:MOST_SENTENCES], "count": len(drift)})


@pages.page(f"{_HOME}/prices/{{id}}", scope="admin:read")
async def show_price(visit: Visit, given: Given) -> Page:
    """Show a price and who pays it: all are counted if somebody asks for it."""
    mirror = visit.app[keys.MIRROR]
    most_counted = None if given.text("count") == "all" else MOST_COUNTED_OF_ONE
    price = await get_price(
        mirror.pool, given.id, livemode=mirror.livemode, most_counted=most_counted
    )
    payers = await list_payers(
        mirror.pool, given.id, _after(given), MOST_PAYERS, livemode=mirror.livemode
    )
    more = payers[-1]["id"] if len(payers) == MOST_PAYERS else None
    values = {"price": price, "most_counted": most_counted, "payers": payers, "more": more}
    return Page("price.html", values)


def _after(given: Given) -> UUID | None:
    try:
        return UUID(given.text("after")) if given.text("after") else None
    except ValueError:
        raise InvalidRequestError(say("refusal.start_again")) from None


attempt = pages.action("try_catalogue", f"{_HOME}/try", scope="admin:operate")


@attempt.show
async def show_try(_: Visit, given: Given) -> Page:
    """Show the form for the text of a catalogue."""
    return Page("catalogue_try.html", {"text": given.text("text"), "edit": None, "problems": []})


@attempt.do
async def do_try(visit: Visit, given: Given) -> Page:
    """Show what applying the text would change; nothing is written."""
    text = given.fields.get("text", "").replace("\r\n", "\n")
    values: dict[str, Any] = {"text": text, "edit": None, "problems": []}
    try:
        edit = await preview_catalogue(visit.app[keys.POOL], parse_catalogue(text))
    except (CatalogueFileError, MeterChangedError) as error:
        values["problems"] = error.message.splitlines()[:MOST_SENTENCES]
        return Page("catalogue_try.html", values, HTTPStatus.UNPROCESSABLE_ENTITY)
    return Page("catalogue_try.html", values | {"edit": edit, "sentences": _sentences(edit)})
