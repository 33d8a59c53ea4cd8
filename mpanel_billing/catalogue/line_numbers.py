"""The line number of each value in a TOML text, which tomllib does not report.

The text must be valid TOML: only the begin and end of each part are recognised.
"""

import re
import tomllib
from collections.abc import Iterator

Path = tuple[str | int, ...]
"""The path of a value: `("plans", 2, "prices", "monthly")`."""

_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""(?:[A-Za-z0-9_\-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[ \t]*\.[ \t]*)+""")
_BARE = re.compile(r"[^,\]}\n#]+")


def locate_values(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every table, item and value, by its path."""
    lines: dict[Path, int] = {}
    for path, line in _Reader(text).read():
        lines.setdefault(path, line)
    return lines


def line_of(lines: dict[Path, int], path: Path) -> int:
    """Return the line of `path`, or of its nearest ancestor in the text."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Reader:
    """Walks a TOML text once; `at` is the current offset."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.sizes: dict[Path, int] = {}

    def read(self) -> Iterator[tuple[Path, int]]:
        table: Path = ()
        self._take(_BLANK)
        while self.at < len(self.text):
            line = self.line
            if self._peek("["):
                table = self._header()
                yield from ((table[:depth], line) for depth in range(1, len(table) + 1))
            else:
                yield from self._pair(table)
            self._take(_BLANK)

    def _header(self) -> Path:
        is_item = self._peek("[[")
        self._skip(2 if is_item else 1)
        self._take(_BLANK)
        path = self._resolve(self._key())
        self._take(_BLANK)
        self._skip(2 if is_item else 1)
        if not is_item:
            return path
        index = self.sizes.get(path, 0)
        self.sizes[path] = index + 1
        return (*path, index)

    def _resolve(self, key: Path) -> Path:
        """Insert the index of the latest item after each name of an array of tables.

        The last name stays as it is: the header decides whether it starts a new item.
        """
        path: Path = ()
        for part in key[:-1]:
            path = (*path, part)
            if path in self.sizes:
                path = (*path, self.sizes[path] - 1)
        return (*path, key[-1])

    def _pair(self, table: Path) -> Iterator[tuple[Path, int]]:
        line = self.line
        key = self._key()
        for depth in range(1, len(key)):
            yield (*table, *key[:depth]), line
        self._take(_BLANK)
        self._skip(1)  # the equals sign
        self._take(_BLANK)
        yield (*table, *key), line
        yield from self._value((*table, *key))

    def _value(self, path: Path) -> Iterator[tuple[Path, int]]:
        if self._peek("["):
            yield from self._array(path)
        elif self._peek("{"):
            yield from self._inline_table(path)
        elif self._peek('"') or self._peek("'"):
            self._take(_STRING)
        else:
            self._take(_BARE)

    def _array(self, path: Path) -> Iterator[tuple[Path, int]]:
        index = 0
        self._skip(1)
        while not self._closes("]"):
            yield (*path, index), self.line
            yield from self._value((*path, index))
            index += 1
            self._comma()
        self._skip(1)

    def _inline_table(self, path: Path) -> Iterator[tuple[Path, int]]:
        self._skip(1)
        while not self._closes("}"):
            yield from self._pair(path)
            self._comma()
        self._skip(1)

    def _closes(self, bracket: str) -> bool:
        self._take(_BLANK)
        return self._peek(bracket)

    def _comma(self) -> None:
        self._take(_BLANK)
        if self._peek(","):
            self._skip(1)

    def _key(self) -> Path:
        return tuple(_names(tomllib.loads(f"{self._take(_KEY)} = 0")))

    def _peek(self, token: str) -> bool:
        return self.text.startswith(token, self.at)

    def _skip(self, length: int) -> None:
        self.at += length

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            msg = f"line {self.line} is not valid TOML"
            raise ValueError(msg)
        self.at = match.end()
        self.line += match[0].count("\n")
        return match[0]


def _names(nested: object) -> Iterator[str]:
    """List the keys of nested tables: `{"a": {"b": 0}}` gives a, b."""
    while isinstance(nested, dict):
        ((name, nested),) = nested.items()
        yield name
