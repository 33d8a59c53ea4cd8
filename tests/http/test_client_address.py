"""The client that a request comes from, as far as it can be trusted."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.http.client_address import client_name, find_client

TRUSTED = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
BUYER = "203.0.113.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        (BUYER, [], BUYER),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [BUYER], BUYER),
        ("127.0.0.1", [f"198.51.100.1, {BUYER}"], BUYER),
        ("127.0.0.1", [f"{BUYER}, 10.1.2.3"], BUYER),
        ("127.0.0.1", [BUYER, "10.1.2.3"], BUYER),
        (BUYER, ["198.51.100.1"], BUYER),
        ("127.0.0.1", ["10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", ["not an address"], "127.0.0.1"),
        ("127.0.0.1", [f"garbage, {BUYER}"], BUYER),
        ("127.0.0.1", ["garbage, 10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [f"{BUYER}:51234"], BUYER),
        ("127.0.0.1", ["[2001:db8::7]:51234"], "2001:db8::/64"),
        ("::ffff:127.0.0.1", [f"::ffff:{BUYER}"], BUYER),
        ("fd00::1", ["2001:db8:0:1:2::3"], "2001:db8:0:1::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        (None, [BUYER], "unknown"),
    ],
)
def test_the_rightmost_address_that_is_not_a_proxy_is_the_clients(
    peer: str | None, forwarded: list[str], client: str
) -> None:
    assert client_name(find_client(peer, forwarded, TRUSTED)) == client


@given(st.lists(st.text()))
def test_nothing_that_a_client_claims_changes_its_address(claimed: list[str]) -> None:
    assert client_name(find_client(BUYER, claimed, TRUSTED)) == BUYER
    seen_by_proxy = [*claimed, BUYER]
    assert client_name(find_client("127.0.0.1", seen_by_proxy, TRUSTED)) == BUYER
