"""Looks for garbage among what tests make only: what is loaded before them stays.

Looking through all of it again and again took a third of the CPU time of collecting them.
"""

import gc

import pytest

_MADE_BETWEEN = 20_000
"""Objects; by default 700."""

gc.disable()  # while tests are collected


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Begin with the tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_MADE_BETWEEN)
    gc.enable()
