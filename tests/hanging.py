"""Ends a test that hangs after it has failed: pytest's own limit stops at the failure."""

import faulthandler

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key, get_timeout_config_value


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Begin the limit again, for what the fixtures still do."""
    seconds = get_timeout_config_value(node.config)
    if seconds and isinstance(node, pytest.Item):  # whose end cancels it
        stderr = node.config.stash[fault_handler_stderr_fd_key]
        faulthandler.dump_traceback_later(seconds, file=stderr, exit=True)
