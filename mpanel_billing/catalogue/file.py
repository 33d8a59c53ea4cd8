"""Read a catalogue file, and report each problem by line and field."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mpanel_billing.catalogue import line_numbers
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.sums import Found, find_odd_sums
from mpanel_billing.catalogue.usage_in_file import odd_usage
from mpanel_billing.errors import BillingError, field_name

_MINOR_UNITS = "must be a whole number of minor units (1299 for $12.99)"
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a catalogue field",
    "string_type": "must be text in quotes",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list in [brackets]",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "string_too_short": "must not be empty",
    "datetime_type": "must be a date and time without quotes, such as 2027-01-31T23:59:59Z",
    "timezone_aware": "needs a time zone, such as the Z of 2027-01-31T23:59:59Z",
}
"""pydantic's error types, in words for people who edit the file."""

_AMOUNT_FIELDS = {
    "prices",
    "prices_in",
    "setup_fee",
    "setup_fee_in",
    "price",
    "price_in",
    "amount_off_in",
    "minimum_amount",
    "minimum_amount_in",
}
_NOT_WHOLE = {"int_type", "int_from_float", "int_parsing", "greater_than_equal"}


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in the file."""

    line: int
    path: line_numbers.Path
    message: str


class CatalogueFileError(BillingError):
    """The catalogue file is invalid; `problems` are in the order of the file."""

    code = "catalogue_invalid"

    def __init__(self, name: str, problems: Iterable[Problem]) -> None:
        """Keep the problems; the message has one line for each."""
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(_describe(name, problem) for problem in self.problems))


def read_catalogue_file(path: Path) -> CatalogueFile:
    """Read and check a catalogue file; CatalogueFileError gives each problem's line and field."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise CatalogueFileError(str(path), [Problem(1, (), reason)]) from error
    except UnicodeDecodeError as error:
        raise CatalogueFileError(str(path), [Problem(1, (), "is not UTF-8 text")]) from error
    return parse_catalogue(text, name=str(path))


def parse_catalogue(text: str, *, name: str = "catalogue") -> CatalogueFile:
    """Check the text of a catalogue file; CatalogueFileError if it is invalid."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueFileError(name, [_syntax_problem(text, error)]) from error
    try:
        file = CatalogueFile.model_validate(document)
    except ValidationError as error:
        raise _located(name, text, map(_from_pydantic, error.errors())) from None
    found = list(
        chain(
            _repeated_codes(file),
            find_odd_sums(file),
            _odd_plans(file),
            odd_usage(file),
            _odd_coupons(file),
        )
    )
    if found:
        raise _located(name, text, found)
    return file


def _located(name: str, text: str, found: Iterable[Found]) -> CatalogueFileError:
    lines = line_numbers.locate_values(text)
    return CatalogueFileError(
        name,
        [Problem(line_numbers.line_of(lines, path), path, message) for path, message in found],
    )


def _syntax_problem(text: str, error: tomllib.TOMLDecodeError) -> Problem:
    """Split tomllib's message: `Invalid value (at line 3, column 7)`."""
    reason, _, place = str(error).rpartition(" (at ")
    numbers = re.findall(r"\d+", place)
    line = int(numbers[0]) if numbers else max(1, len(text.splitlines()))
    return Problem(line, (), f"is not valid TOML: {reason}")


def _from_pydantic(error: ErrorDetails) -> Found:
    path = tuple(part for part in error["loc"] if part != "[key]")
    return path, _explain(error, path)


def _explain(error: ErrorDetails, path: line_numbers.Path) -> str:
    kind = error["type"]
    if kind in _NOT_WHOLE and _AMOUNT_FIELDS.intersection(path):
        return f"{_MINOR_UNITS}, not {error['input']!r}"
    if kind in _WORDS:
        return _WORDS[kind]
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    message = error["msg"].removeprefix("Input ").removeprefix("String ")
    return f"{message}, not {error['input']!r}"


def _repeated_codes(file: CatalogueFile) -> Iterator[Found]:
    """Find codes used twice: all products share one namespace, coupons have their own."""
    products = [(path, entry.product_code) for _, path, entry in file.products()]
    coupons = [(("coupons", index), coupon.code) for index, coupon in enumerate(file.coupons)]
    for named in (products, coupons):
        first: dict[str, line_numbers.Path] = {}
        for path, code in named:
            if code in first:
                field = "tld" if path[0] == "domains" else "code"
                yield (*path, field), f"{code!r} is already the code of {field_name(first[code])}"
            first.setdefault(code, path)


def _odd_plans(file: CatalogueFile) -> Iterator[Found]:
    codes = {plan.code for plan in file.plans}
    for index, plan in enumerate(file.plans):
        costs_nothing = any(
            amount.amount == 0 and amount.billing_cycle for amount in plan.amounts(file.currency)
        )
        if plan.free_domain and costs_nothing:
            yield ("plans", index, "free_domain"), "must be false for a plan with a price of 0"
        if plan.max_per_customer and plan.max_quantity > 1:
            yield ("plans", index, "max_quantity"), "must be 1 for a plan with max_per_customer"
        for place, code in enumerate(plan.allowed_changes or ()):
            if code not in codes:
                path = ("plans", index, "allowed_changes", place)
                yield path, f"{code!r} is not a plan of this file"


def _odd_coupons(file: CatalogueFile) -> Iterator[Found]:
    recurring = {entry.code for entry in (*file.plans, *file.addons)}
    for index, coupon in enumerate(file.coupons):
        path: line_numbers.Path = ("coupons", index)
        if (coupon.percent_off is None) == (coupon.amount_off is None):
            yield path, "needs either percent_off or amount_off"
        if round(coupon.percent_off or 0, 2) != (coupon.percent_off or 0):
            yield (*path, "percent_off"), "must have at most two decimals"
        if (coupon.duration == "repeating") != (coupon.duration_in_months is not None):
            yield (*path, "duration"), "needs duration_in_months if and only if it is repeating"
        if coupon.retention and (coupon.products or coupon.first_order_only):
            yield (*path, "retention"), "is of a whole subscription that there is already"
        for limit in ("max_redemptions", "max_per_customer"):
            if coupon.retention and getattr(coupon, limit) is not None:
                yield (*path, limit), "counts orders, which a coupon with retention is not for"
        for place, code in enumerate(coupon.products):
            if code not in recurring:
                yield (*path, "products", place), f"{code!r} is not a plan or add-on of this file"


def _describe(name: str, problem: Problem) -> str:
    field = f"{field_name(problem.path)}: " if problem.path else ""
    return f"{name}:{problem.line}: {field}{problem.message}"
