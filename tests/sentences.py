"""The sentences in the source: what services say to people, in English."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

_SENTENCE = re.compile(r"""["'{A-Z].* .*[.!?]""", re.DOTALL)
PLACE = re.compile(r"\{\w*\}")


def sentences_of(path: Path) -> set[str]:
    """Return the literals of a module that are sentences, each part that differs as `{}`."""
    tree = ast.parse(path.read_text())
    apart = set(_apart(tree))
    texts = (_text(node) for node in ast.walk(tree) if id(node) not in apart)
    return {text for text in texts if text and _SENTENCE.fullmatch(text)}


def as_template(text: str) -> str:
    """Return a text of a catalogue as `sentences_of` has it."""
    return PLACE.sub("{}", text)


def _apart(tree: ast.AST) -> Iterator[int]:
    """Yield what is no sentence by itself: docstrings, log lines, and parts of f-strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield id(node.value)
        elif isinstance(node, ast.JoinedStr):
            yield from (id(part) for part in ast.walk(node) if part is not node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger."):
            yield from (id(part) for part in ast.walk(node))


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    return None
