"""A small PDF writer: lines of text on A4 pages, in fonts that every reader has.

Written here because it is all that invoices need: a library would be a dependency ten times as
large as the sandbox. Text beyond the Windows code page is written without its marks, or as `?`.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap
from typing import Literal

WIDTH, HEIGHT, MARGIN = 595, 842, 56
"""Of a page, in points."""

SIZE, LEADING = 10, 16
COURIER_WIDTH = 0.6
"""Of a character, in parts of the size of the font."""

CHARACTERS = 62
"""How many characters of Helvetica fit beside a column of amounts."""

FONTS = {"bold": "Helvetica-Bold", "plain": "Helvetica", "amount": "Courier"}


@dataclass(frozen=True)
class Row:
    """A line of text, and an amount at the right edge, if there is one."""

    text: str = ""
    amount: str = ""
    font: Literal["bold", "plain"] = "plain"
    size: int = SIZE


def render(title: str, rows: Iterable[Row]) -> bytes:
    """Return a PDF document of the rows; long ones are broken, and pages follow each other."""
    pages: list[list[bytes]] = []
    page: list[bytes] = []
    y = HEIGHT - MARGIN
    for row in _broken(rows):
        if y < MARGIN:
            pages.append(page)
            page, y = [], HEIGHT - MARGIN
        page += _drawn(row, y)
        y -= LEADING + row.size - SIZE
    return _document(title, [*pages, page])


def _broken(rows: Iterable[Row]) -> Iterable[Row]:
    for row in rows:
        first, *rest = wrap(row.text, CHARACTERS * SIZE // row.size) or [""]
        yield Row(first, row.amount, row.font, row.size)
        yield from (Row(line, "", row.font, row.size) for line in rest)


def _drawn(row: Row, y: int) -> list[bytes]:
    drawn = [_text(row.text, MARGIN, y, row.font, row.size)] if row.text else []
    if row.amount:
        x = WIDTH - MARGIN - len(row.amount) * row.size * COURIER_WIDTH
        drawn.append(_text(row.amount, x, y, "amount", row.size))
    return drawn


def _text(text: str, x: float, y: int, font: str, size: int) -> bytes:
    return b"BT /%s %d Tf %.1f %d Td (%s) Tj ET" % (font.encode(), size, x, y, _escaped(text))


def _escaped(text: str) -> bytes:
    encoded = b"".join(_encoded(character) for character in text)
    for special in (b"\\", b"(", b")"):
        encoded = encoded.replace(special, b"\\" + special)
    return encoded


def _encoded(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        plain = unicodedata.normalize("NFKD", character)[:1]
        return plain.encode("ascii", "replace")


def _document(title: str, pages: list[list[bytes]]) -> bytes:
    """Return the file: a catalogue, the pages with their contents, the fonts, and an index."""
    names = [*FONTS]
    first_font, first_page = 4, 4 + len(names)
    fonts = b" ".join(b"/%s %d 0 R" % (n.encode(), first_font + i) for i, n in enumerate(names))
    kids = b" ".join(b"%d 0 R" % (first_page + 2 * index) for index in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        b"<< /Title (%s) /Producer (stripe-sandbox) >>" % _escaped(title),
        *(
            b"<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>"
            % FONTS[name].encode()
            for name in names
        ),
    ]
    for index, page in enumerate(pages):
        content = b"\n".join(page)
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Resources << /Font << %s >> >> "
            b"/Contents %d 0 R >>" % (WIDTH, HEIGHT, fonts, first_page + 2 * index + 1),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        ]
    return _file(objects)


def _file(objects: list[bytes]) -> bytes:
    body, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    index = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R /Info 3 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (count, index, count, len(body))
    )
