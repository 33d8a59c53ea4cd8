"""A task that is cancelled ends: nothing on its way hides the cancellation."""

import ast
import asyncio
from collections.abc import Iterator

import pytest

from mpanel_billing.background import background
from mpanel_billing.resources import ROOT

PACKAGES = ("mpanel_billing", "stripe_sandbox/src", "tests", "benchmarks")
HIDING = {"CancelledError", "BaseException"}


def find_hidden(source: str) -> Iterator[int]:
    """Yield the lines that suppress a cancellation, or catch it and do not raise it again."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _name(node.func) == "suppress":
            if HIDING & {_name(argument) for argument in node.args}:
                yield node.lineno
        elif isinstance(node, ast.ExceptHandler) and _catches(node) and not _raises(node):
            yield node.lineno


def _catches(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return bool(HIDING & {_name(one) for one in types})


def _raises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_hides_a_cancellation(package: str) -> None:
    hidden = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line in find_hidden(path.read_text())
    ]
    assert hidden == []


@pytest.mark.parametrize(
    "handler",
    [
        "with suppress(asyncio.CancelledError): pass",
        "try: pass\nexcept asyncio.CancelledError: pass",
        "try: pass\nexcept (ValueError, CancelledError): pass",
        "try: pass\nexcept BaseException: pass",
        "try: pass\nexcept: pass",
    ],
)
def test_what_hides_one_is_found(handler: str) -> None:
    assert list(find_hidden(handler))


def test_what_raises_it_again_is_not() -> None:
    assert not list(find_hidden("try: pass\nexcept asyncio.CancelledError:\n    raise"))


async def test_a_block_cancelled_while_its_background_task_ends_does_not_go_on() -> None:
    ending, may_end = asyncio.Event(), asyncio.Event()

    async def end_slowly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await may_end.wait()

    async def block() -> None:
        async with background(end_slowly()):
            await asyncio.sleep(0)

    running = asyncio.create_task(block())
    await ending.wait()
    running.cancel()
    await asyncio.wait({running})
    may_end.set()
    assert running.cancelled()


async def test_a_background_task_that_fails_fails_its_block() -> None:
    async def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - ours
        async with background(fail()):
            await asyncio.sleep(0)
