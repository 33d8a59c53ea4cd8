from pathlib import Path

import pytest

from mpanel_billing.domains.names import read_name
from mpanel_billing.domains.reserved import ReservedNames, load_reserved_names
from mpanel_billing.errors import SettingsError


def refuses(reserved: ReservedNames, name: str) -> bool:
    return reserved.reserve(read_name(name))


@pytest.mark.parametrize(
    "name",
    [
        "gmail.com",
        "mail.gmail.com",
        "yahoo.co.uk",
        "co.uk",
        "github.io",
        "tenants.example.net",
        "ada.tenants.example.net",
        "example.net",
        "www.example.net",
        "panel.example.org",
        "login.panel.example.org",
        "example.org",
        "localhost.example.net",
        "ada.unheard",
        "ada.example",
        # Cyrillic, Greek, an accent, a stroke
        "gm\u0430il.com",
        "\u0440ay\u0440al.gm\u0430il.com",
        "\u03b5xample.net",
        "gm\u00e1il.com",
        "gmai\u0142.com",
    ],
)
def test_what_nobody_can_order(name: str) -> None:
    hosts = ("tenants.example.net", "panel.example.org", "127.0.0.1")
    assert refuses(load_reserved_names(None, hosts), name)


@pytest.mark.parametrize(
    "name", ["mygmail.com", "gmail.com.mx", "ada.co.uk", "a.github.io", "b\u00fccher.de"]
)
def test_what_only_looks_like_it(name: str) -> None:
    assert not refuses(load_reserved_names(None, ("localhost",)), name)


def test_a_zone_that_is_a_public_suffix_is_reserved_itself() -> None:
    reserved = load_reserved_names(None, ("github.io",))
    assert refuses(reserved, "ada.github.io")


def test_the_host_may_reserve_others(tmp_path: Path) -> None:
    file = tmp_path / "reserved"
    file.write_text("# ours\n\nBÜCHER.de.  # a brand\n", encoding="utf-8")
    reserved = load_reserved_names(file, ())
    assert refuses(reserved, "www.xn--bcher-kva.de")
    assert not refuses(reserved, "gmail.com")


def test_a_file_that_is_wrong_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "reserved"
    with pytest.raises(SettingsError, match=r"RESERVED_DOMAINS: .*: No such file"):
        load_reserved_names(file, ())
    file.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="is not text in UTF-8"):
        load_reserved_names(file, ())
    file.write_text("ada.com\nnot a name\n")
    with pytest.raises(SettingsError, match="line 2: is not a domain name"):
        load_reserved_names(file, ())
