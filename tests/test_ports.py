"""Ports for servers are none that the kernel gives to connections."""

from tests.ports import unused_port


def test_a_port_is_given_once_and_is_none_of_the_kernels() -> None:
    given = {unused_port() for _ in range(100)}
    assert len(given) == 100
    assert 11_000 <= min(given) < max(given) < 32_768
