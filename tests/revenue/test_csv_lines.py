"""A cell of a CSV is a text or a number for a spreadsheet, whoever has written it."""

import csv
import io

import pytest

from mpanel_billing.revenue.csv_lines import as_csv


@pytest.mark.parametrize("sign", [*"=+-@", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
@pytest.mark.parametrize("before", ["", " ", "\u00a0", "\t", "\r", "\n"])
def test_no_text_becomes_a_formula(sign: str, before: str) -> None:
    text = f'{before}{sign}HYPERLINK("https://evil.test", 1)'
    lines = as_csv(
        [{"name": text, "amount": -500, "currency": "usd"}], ("name", "amount"), ["amount"]
    )
    _, row = csv.reader(io.StringIO("\n".join(lines), newline=""))
    assert row == [f"'{text}", "-5.00"]


def test_a_text_without_such_a_sign_stays_as_it_is() -> None:
    names = ["a=b", "", " ", "J. Müller-Lüdenscheidt"]
    rows = [{"name": name} for name in names]
    read = csv.reader(io.StringIO("\n".join(as_csv(rows, ("name",), ())), newline=""))
    assert [row[0] if row else "" for row in read][1:] == names
