"""The Stripe SDK, without an HTTP client that is never used here.

When it loads, the SDK chooses a client for synchronous calls: `requests`, or if that cannot be
imported, one of the standard library. All calls here are asynchronous, over aiohttp, and `requests`
takes 4.5 MB of every process. So it cannot be imported while the SDK loads.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["stripe"]


@contextmanager
def _unavailable(module: str) -> Iterator[None]:
    """Let imports of a module fail during the block, unless it is loaded already."""
    if module in sys.modules:
        yield
        return
    # https://docs.python.org/3/reference/import.html#the-module-cache
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


with _unavailable("requests"):
    import stripe
