"""What is wrong with what a buyer typed: all of it, field by field."""

import re
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

from stripe_sandbox.errors import ApiError
from stripe_sandbox.hosted.language import Language

Read = TypeVar("Read")
Given = ParamSpec("Given")

FIELD_OF_CODE = {
    "expired_card": "cardExpiry",
    "incorrect_cvc": "cardCvc",
    "tax_id_invalid": "taxId",
}
FIELD_OF_PARAM = {
    "amounts": "descriptorCode",
    "descriptor_code": "descriptorCode",
    "promotion_code": "promotionCode",
}
QUANTITY = re.compile(r"line_items\[(\d+)\]\[quantity\]")


class FormError(Exception):
    """Invalid fields, each with the name of its sentence in the catalogue."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(", ".join(problems.values()))
        self.problems = problems


class Problems:
    """Collects what is wrong, so that a page marks it all at once."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def read(
        self, read: Callable[Given, Read], *args: Given.args, **named: Given.kwargs
    ) -> Read | None:
        """Return what was read, or None if it is wrong."""
        try:
            return read(*args, **named)
        except FormError as error:
            self.found.update(error.problems)
            return None

    def refuse(self) -> None:
        """Raise FormError if anything is wrong."""
        if self.found:
            raise FormError(self.found)


def problems_of(language: Language, error: FormError | ApiError) -> dict[str, str]:
    """Return the sentences of an error by field; one that is about no field has an empty name."""
    if isinstance(error, FormError):
        return {field: language.say(name) for field, name in error.problems.items()}
    return {_field_of(error): language.refusal(error)}


def _field_of(error: ApiError) -> str:
    facts = error.body["error"]
    param = facts.get("param", "")
    quantity = QUANTITY.fullmatch(param)
    if quantity:
        return f"quantity_{quantity[1]}"
    return FIELD_OF_CODE.get(facts.get("code", "")) or FIELD_OF_PARAM.get(param, "")
