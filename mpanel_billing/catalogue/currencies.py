"""Which currency a buyer sees."""

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.errors import InvalidRequestError


def choose_currency(catalogue: Catalogue, asked: str | None, accepted: str = "") -> str:
    """Return the currency that is asked for, else the first accepted one, else the default.

    `accepted` are currencies in the order of preference, with commas between them; those in which
    nothing is sold are passed over. InvalidRequestError for an asked one in which nothing is.
    """
    if asked is not None:
        wanted = asked.strip().lower()
        if wanted not in catalogue.currencies:
            raise _not_sold_in(wanted, catalogue)
        return wanted
    named = (one.partition(";")[0].strip().lower() for one in accepted.split(","))
    return next((one for one in named if one in catalogue.currencies), catalogue.currency)


def _not_sold_in(asked: str, catalogue: Catalogue) -> InvalidRequestError:
    available = ", ".join(catalogue.currencies)
    return InvalidRequestError(
        f"Nothing is sold in {asked[:10].upper()}. Available: {available.upper()}.",
        code="currency_not_sold",
        fields={"currency": f"must be one of: {available}"},
    )
