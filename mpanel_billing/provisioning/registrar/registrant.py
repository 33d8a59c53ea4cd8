"""The person or company that a domain is registered for, from what is on record of a customer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Registrant:
    """What is on record; a registrar needs all but organisation, second line and state."""

    name: str | None = None
    organisation: str | None = None
    email: str | None = None
    phone: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postcode: str | None = None
    country: str | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """What a registrar needs and nobody has told, by the names of an order's fields."""
        needed = {
            "name": self.name or self.organisation,
            "email": self.email,
            "phone": e164_of(self.phone, self.country),
            "address1": self.line1,
            "city": self.city,
            "postcode": self.postcode,
            "country": self.country,
        }
        return tuple(name for name, value in needed.items() if not value)

    @property
    def details(self) -> Mapping[str, Any]:
        """What the registrar is told."""
        return {
            "name": self.name or self.organisation,
            "organisation": self.organisation,
            "email": self.email,
            "phone": e164_of(self.phone, self.country),
            "address1": self.line1,
            "address2": self.line2,
            "city": self.city,
            "state": self.state,
            "postcode": self.postcode,
            "country": self.country,
        }


def e164_of(phone: str | None, country: str | None) -> str | None:
    """Return a phone number as registrars want it, `+4915112345678`; None if it is none.

    A number without its country's prefix is one of `country`.
    """
    import phonenumbers  # noqa: PLC0415 - loaded when the first domain is registered

    if not phone:
        return None
    try:
        parsed = phonenumbers.parse(phone, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
