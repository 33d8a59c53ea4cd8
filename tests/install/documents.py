"""The commands of the documents, as a person would type them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def blocks(document: Path, heading: str, language: str = "sh") -> list[str]:
    """Return the blocks of a language below a heading, up to the next one."""
    found = [
        text for marked, text in FENCE.findall(_section(document, heading)) if marked == language
    ]
    assert found, f"{document.name} has no ```{language} below {heading!r}"
    return found


def filled_in(block: str, values: Mapping[str, str]) -> str:
    """Replace each placeholder, such as <your host>."""

    def value(match: re.Match[str]) -> str:
        return values[match[0]]

    return re.sub(r"<[a-z ]+>", value, block)


def _section(document: Path, heading: str) -> str:
    text = document.read_text()
    headings = list(_headings(text))
    (index,) = (index for index, match in enumerate(headings) if match[2] == heading)
    end = headings[index + 1].start() if index + 1 < len(headings) else len(text)
    return text[headings[index].end() : end]


def _headings(text: str) -> Iterator[re.Match[str]]:
    """Yield the headings; a comment in a block looks like one."""
    fences = [match.span() for match in FENCE.finditer(text)]
    for match in HEADING.finditer(text):
        if not any(start < match.start() < end for start, end in fences):
            yield match
